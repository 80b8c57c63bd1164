// A page opens another conversation automatically only when its reader has asked for it and done nothing since. No
// answer steals the focus from where somebody writes.

import type { Chat } from '../pages/chat';
import { Line } from '../support/line';
import { connect, expect, holdWasm, hydrated, test } from '../support/test';

function offer(chat: Chat) {
  return chat.page.getByRole('link', { name: 'Open the conversation' });
}

/** Keeps writing while the answer arrives, and checks that everything stays where it was. */
async function writesOn(chat: Chat, to: string, late: () => void): Promise<void> {
  await chat.composer.click();
  await chat.page.keyboard.type('Between you and me, ');
  late();
  await expect(offer(chat)).toBeVisible();
  await chat.page.keyboard.type('nobody else must know');
  await expect(chat.composer).toHaveValue('Between you and me, nobody else must know');
  await expect(chat.entry(to)).toHaveAttribute('aria-current', 'page');
}

test('an invitation accepted on a slow line: whoever writes to somebody else meanwhile stays there, and is offered the way', async ({
  person,
}) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  await connect(ada, ben);
  const line = await Line.tap(ada);
  await cleo.invite('Ada');
  await expect(ada.card('Cleo')).toBeVisible();
  line.delay();
  await ada.card('Cleo').getByRole('button', { name: 'Accept' }).click();
  await writesOn(ada, 'Ben', () => line.deliver());
  await ada.page.keyboard.press('Enter');
  await expect(ben.row('Between you and me, nobody else must know')).toBeVisible();
  await expect(cleo.entry('Ada')).not.toContainText('nobody else');
  await offer(ada).click();
  await expect(ada.entry('Cleo')).toHaveAttribute('aria-current', 'page');
  await expect(offer(ada), 'what was offered has been taken').toBeHidden();
});

test('an invitation accepted without a connection leads nowhere when its reader has moved on', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  await connect(ada, ben);
  await cleo.invite('Ada');
  const line = await Line.tap(ada);
  await expect(ada.card('Cleo')).toBeVisible();
  await line.unplug();
  await ada.card('Cleo').getByRole('button', { name: 'Accept' }).click();
  await writesOn(ada, 'Ben', () => {
    line.plug();
    void ada.page.evaluate(() => window.dispatchEvent(new Event('online')));
  });
});

test('an invitation accepted on a slow line opens when its reader has waited for it', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  await connect(ada, ben);
  const line = await Line.tap(ada);
  await cleo.invite('Ada');
  await expect(ada.card('Cleo')).toBeVisible();
  line.delay();
  await ada.card('Cleo').getByRole('button', { name: 'Accept' }).click();
  await cleo.openConversation('Ada');
  line.deliver();
  await expect(ada.entry('Cleo')).toHaveAttribute('aria-current', 'page');
  await expect(ada.composer).toBeFocused();
});

test('looking for somebody one talks to already: the conversation does not open under one who writes elsewhere', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  await connect(ada, cleo);
  await connect(ada, ben);
  const line = await Line.tap(ada);
  line.delay();
  await ada.searchFor('cleo');
  await writesOn(ada, 'Ben', () => line.deliver());
});

test('with nothing open, an answer takes neither the focus nor the words of one who searches on', async ({ person }) => {
  const [ada, cleo] = [await person('Ada'), await person('Cleo')];
  await connect(ada, cleo);
  await ada.open('/');
  const line = await Line.tap(ada);
  line.delay();
  const field = ada.search.getByRole('textbox', { name: 'Search' });
  await field.fill('cleo');
  await field.press('Enter');
  await field.fill('Some');
  line.deliver();
  await expect(ada.answer).toContainText('You talk with');
  await ada.page.keyboard.type('body');
  await expect(field).toBeFocused();
  await expect(field).toHaveValue('Somebody');
});

test('with nothing open, the list stays under the hand of one who looks through it', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  await connect(ada, ben);
  await ada.open('/');
  const line = await Line.tap(ada);
  await cleo.invite('Ada');
  await expect(ada.card('Cleo')).toBeVisible();
  line.delay();
  await ada.card('Cleo').getByRole('button', { name: 'Accept' }).click();
  await ada.entry('Ben').hover();
  await ada.page.evaluate(() => addEventListener('wheel', () => (document.body.dataset.wheeled = ''), { once: true }));
  await ada.page.mouse.wheel(0, 100);
  await expect(ada.page.locator('body[data-wheeled]')).toBeAttached();
  line.deliver();
  await expect(offer(ada)).toBeVisible();
  expect(new URL(ada.page.url()).pathname).toBe('/');
  await offer(ada).click();
  await expect(ada.composer).toBeFocused();
});

test('a page that comes alive leaves the focus to who has gone somewhere by keyboard', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  await connect(ada, ben);
  const release = await holdWasm(ada.page);
  await ada.page.reload();
  await ada.entry('Ben').focus();
  release();
  await hydrated(ada.page);
  await ada.welcomed();
  await expect(ada.entry('Ben')).toBeFocused();
});

test('back and forward are the reader\'s own: an answer that comes after them opens nothing', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  await connect(ada, cleo);
  await connect(ada, ben);
  await ada.openConversation('Cleo');
  const line = await Line.tap(ada);
  await ada.openConversation('Ben');
  line.delay();
  await ada.searchFor('cleo');
  await ada.page.goBack();
  await ada.page.goForward();
  await expect(ada.entry('Ben')).toHaveAttribute('aria-current', 'page');
  line.deliver();
  await expect(offer(ada)).toBeVisible();
  await expect(ada.entry('Ben')).toHaveAttribute('aria-current', 'page');
});
