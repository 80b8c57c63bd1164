// When using a control removes it, the focus goes somewhere sensible.

import type { Locator } from '@playwright/test';

import type { Chat } from '../pages/chat';
import { Cable } from '../support/cable';
import { Line } from '../support/line';
import { connect, expect, test } from '../support/test';

const search = (chat: Chat) => chat.search.getByRole('textbox', { name: 'Search' });

/** Uses a control by keyboard. */
async function press(control: Locator): Promise<void> {
  await control.focus();
  await control.press('Enter');
}

test('in the list, to the search', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  await ben.invite('Ada');
  await press(ada.card('Ben').getByRole('button', { name: 'Reject' }));
  await expect(ada.card('Ben')).toBeHidden();
  await expect(search(ada)).toBeFocused();
  await ada.invite('Cleo');
  await press(ada.answer.getByRole('button', { name: 'Dismiss' }));
  await expect(search(ada)).toBeFocused();
  await press(ada.waiting('Cleo').getByRole('button', { name: 'Cancel' }));
  await expect(ada.waiting('Cleo')).toBeHidden();
  await expect(search(ada)).toBeFocused();
  await expect(cleo.card('Ada')).toBeHidden();
});

test('in a conversation, to its messages', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const session = await connect(ada, ben);
  await ben.flood(session, Array.from({ length: 40 }, (_, n) => `message ${n}`));
  await expect(ada.row('message 39')).toBeInViewport();
  await ada.history.evaluate((box) => (box.scrollTop = 0));
  await press(ada.jump);
  await expect(ada.jump).toBeHidden();
  await expect(ada.history).toBeFocused();
  // Who comes to it by Tab and is at the end by then goes on to the composer, and is not sent back.
  await ada.history.evaluate((box) => (box.scrollTop = 0));
  await ada.jump.focus();
  await ada.history.evaluate((box) => (box.scrollTop = box.scrollHeight));
  await expect(ada.jump).toBeHidden();
  await expect(ada.composer).toBeFocused();
  const line = await Line.tap(ada);
  line.onSaid((frame) => {
    if (frame.type !== 'Message') return true;
    line.tell({ type: 'Refused', MessageID: frame.MessageID, Code: 'Unavailable', Reason: 'Not today.' });
    return false;
  });
  await ada.type('no');
  await press(ada.row('no').getByRole('button', { name: 'Delete' }));
  await expect(ada.row('no')).toHaveCount(0);
  await expect(ada.history).toBeFocused();
});

test('from what lies over the page, back to where it came from', async ({ person, natter, provokes }) => {
  provokes(/WebSocket connection to .* failed|Failed to load resource: net::ERR_/);
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const session = await connect(ada, ben);
  const cable = await Cable.to(natter);
  await ada.open(`${cable.url}/chat/${session}`);
  await ada.welcomed();
  cable.pull();
  await expect(ada.connectionLost).toBeVisible({ timeout: 20_000 });
  await ada.composer.focus();
  cable.plug();
  const again = ada.connectionLost.getByRole('button', { name: 'Try now' });
  await again.focus().catch(() => undefined); // It may have reconnected already.
  await again.press('Enter', { timeout: 2_000 }).catch(() => undefined);
  await expect(ada.connectionLost).toBeHidden({ timeout: 20_000 });
  await expect(ada.composer).toBeFocused();
  cable.remove();
});

test('on a phone, from a conversation back to its line in the list', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  await connect(ada, ben);
  await ada.page.setViewportSize({ width: 380, height: 700 });
  await press(ada.page.getByRole('link', { name: /All conversations/ }));
  await expect(ada.list).toBeVisible();
  await press(ada.entry('Ben'));
  await expect(ada.composer).toBeFocused();
  await press(ada.page.getByRole('link', { name: /All conversations/ }));
  await expect(ada.entry('Ben')).toBeFocused();
});
