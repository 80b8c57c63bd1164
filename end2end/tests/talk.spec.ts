// Talking: writing, sending, and what the other person sees.

import { connect, expect, test } from '../support/test';
import { Line } from '../support/line';

test('text arrives as it was written', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const texts = ['<b>not bold</b> & "quoted"', 'two\nlines', 'שלום עולם', '👩‍👩‍👧‍👦 naïve', '</textarea><script>alert(1)</script>'];
  for (const text of texts) await ada.send(text);
  await expect(ben.rows).toHaveCount(texts.length);
  expect(await ben.texts()).toEqual(texts);
  await ben.reload();
  expect(await ben.texts()).toEqual(texts);
  await expect(ben.rows.locator('.text').first()).toHaveCSS('white-space', /pre-wrap|break-spaces/);
  // Consecutive messages show the name once, and the day once.
  await expect(ben.messages.locator('li.day')).toHaveCount(1);
  expect(await ben.rows.locator('.name').evaluateAll((names) => names.map((name) => name.clientWidth > 1))).toEqual([true, ...Array(texts.length - 1).fill(false)]);
});

test('a message is on the page at once, and the same row becomes sent', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  await ada.send('before');
  await ada.page.evaluate(() => {
    const list = document.querySelector('ol[aria-label="Messages"]')!;
    new MutationObserver((records) => {
      for (const record of records) {
        for (const node of record.removedNodes) {
          if (node instanceof HTMLElement && node.dataset.mid) document.body.dataset.removed = node.dataset.mid;
        }
      }
    }).observe(list, { childList: true, subtree: true });
  });

  line.hold();
  const texts = ['one', 'two', 'three', 'four', 'five'];
  for (const text of texts) {
    await ada.type(text);
    await expect(ada.row(text)).toHaveAttribute('data-state', 'pending');
    await expect(ada.composer).toHaveValue('');
    await expect(ada.composer).toBeFocused();
  }
  const first = await ada.row('one').elementHandle();
  await expect(ben.row('one')).toHaveCount(0);
  line.release();
  for (const text of texts) await expect(ada.row(text)).toHaveAttribute('data-state', 'sent');
  expect(await first!.evaluate((row) => row.isConnected && row.textContent!.includes('one'))).toBe(true);
  await expect(ada.page.locator('body')).not.toHaveAttribute('data-removed');
  expect(await ada.texts()).toEqual(['before', ...texts]);
  await expect(ben.row('five')).toBeVisible();
  expect(await ben.texts()).toEqual(['before', ...texts]);
});

test('a refused message stays with its text, the reason, Retry and Delete', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  const refuse = (frame: { type: string; MessageID?: unknown }) => {
    if (frame.type !== 'Message') return true;
    line.tell({ type: 'Refused', MessageID: frame.MessageID, Code: 'Unavailable', Reason: 'Not today.' });
    return false;
  };

  line.onSaid(refuse);
  await ada.type('try again');
  const row = ada.row('try again');
  await expect(row).toHaveAttribute('data-state', 'failed');
  await expect(row).toContainText('Not today.');
  line.onSaid(() => true);
  await row.getByRole('button', { name: 'Retry' }).click();
  await expect(row).toHaveAttribute('data-state', 'sent');
  await expect(ben.row('try again')).toHaveCount(1);

  line.onSaid(refuse);
  await ada.type('never mind');
  await expect(ada.row('never mind')).toHaveAttribute('data-state', 'failed');
  await ada.row('never mind').getByRole('button', { name: 'Delete' }).click();
  await expect(ada.row('never mind')).toHaveCount(0);
  line.onSaid(() => true);
  await ada.reload();
  expect(await ada.texts()).toEqual(['try again']);
});

test('a message that is too long stays in the composer, with the reason', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const text = 'long '.repeat(4_000).trim();
  await ada.type(text);
  await expect(ada.page.getByRole('alert')).toContainText(/too long|bytes/);
  await expect(ada.composer).toHaveValue(text);
  await expect(ada.rows).toHaveCount(0);
  await ada.send(text.slice(0, 16_000).trim());
  await expect(ada.page.getByRole('alert')).toBeHidden();
  await expect(ben.rows).toHaveCount(1);
});

test('Enter sends, Shift+Enter breaks the line, and neither interrupts composing a character', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  await ada.composer.pressSequentially('first');
  await ada.composer.press('Shift+Enter');
  await ada.composer.pressSequentially('second');
  await expect(ada.composer).toHaveValue('first\nsecond');

  // Chrome and Firefox mark the Enter that ends a composition; Safari sends key code 229 after it has ended.
  const enter = (init: object) =>
    ada.composer.evaluate(
      (composer, init) =>
        composer.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true, ...init })),
      init,
    );
  expect(await enter({ isComposing: true })).toBe(true);
  expect(await enter({ keyCode: 229 })).toBe(true);
  await expect(ada.composer).toHaveValue('first\nsecond');
  await expect(ada.rows).toHaveCount(0);

  await ada.composer.press('Enter');
  await expect(ada.row('first\nsecond')).toHaveAttribute('data-state', 'sent');
  await expect(ada.rows).toHaveCount(1);

  // White space alone is not sent.
  await ada.type('  \n ');
  await ada.send('done');
  await expect(ada.rows).toHaveCount(2);

  // The button does the same.
  await ada.composer.fill('by button');
  await ada.sendButton.click();
  await expect(ben.row('by button')).toBeVisible();
  await expect(ada.composer).toBeFocused();
});

test('the composer grows with the text, to six lines and no further', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const height = async (lines: number) => {
    await ada.composer.fill(Array(lines).fill('line').join('\n'));
    return (await ada.composer.boundingBox())!.height;
  };
  const one = await height(1);
  const three = await height(3);
  const six = await height(6);
  expect(three).toBeGreaterThan(one * 1.5);
  expect(six).toBeGreaterThan(three * 1.5);
  expect(await height(12)).toBe(six);
  expect(await height(1)).toBe(one);
});

test('a draft belongs to its conversation and outlasts a reload', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const cleo = await person('Cleo');
  await connect(ada, ben);
  await connect(ada, cleo);
  await ada.openConversation('Ben');
  await ada.composer.fill('for Ben');
  await ada.openConversation('Cleo');
  await expect(ada.composer).toHaveValue('');
  await ada.send('for Cleo');
  await ada.openConversation('Ben');
  await expect(ada.composer).toHaveValue('for Ben');
  await ada.reload();
  await expect(ada.composer).toHaveValue('for Ben');
  await ada.composer.press('Enter');
  await expect(ben.row('for Ben')).toBeVisible();
  await ada.reload();
  await expect(ada.composer).toHaveValue('');
  await expect(ben.row('for Cleo')).toHaveCount(0);
});

test('typing shows at the other side, and ends with the message', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  const began = Date.now();
  await ada.composer.pressSequentially('I am writing quite a lot');
  await expect(ben.typing).toHaveText('Ada is typing…');
  await expect(ada.typing).toBeHidden();
  const frames = line.said.filter((frame) => frame.type === 'Typing').length;
  expect(frames, 'one every 2 s at most').toBeLessThanOrEqual(1 + Math.ceil((Date.now() - began) / 2_000));
  await ada.composer.press('Enter');
  await expect(ben.row('I am writing quite a lot')).toBeVisible();
  await expect(ben.typing).toBeHidden({ timeout: 2_000 });
  // Somebody who stops without sending is not typing forever.
  await ada.composer.pressSequentially('hm');
  await expect(ben.typing).toBeVisible();
  await expect(ben.typing).toBeHidden({ timeout: 12_000 });
});

test('unread messages are counted until they are seen, in the list and the title', async ({ person, again }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const cleo = await person('Cleo');
  await connect(ada, ben);
  await connect(cleo, ada);
  await ada.openConversation('Cleo');
  const adaToo = await again('Ada');

  await ben.send('one');
  await ben.send('two');
  await expect(ada.unread('Ben')).toHaveText(/\b2\b/);
  await expect(ada.unread('Ben')).toContainText('2 unread');
  await expect(ada.page).toHaveTitle(/2/);
  await expect(adaToo.unread('Ben')).toHaveText(/\b2\b/);
  await ada.reload();
  await expect(ada.unread('Ben')).toHaveText(/\b2\b/);

  await ada.openConversation('Ben');
  await expect(ada.unread('Ben')).toBeHidden();
  await expect(ada.page).not.toHaveTitle(/\d/);
  // The same person's other browser knows without a reload.
  await expect(adaToo.unread('Ben')).toBeHidden();
  // So does the server: while the conversation is not open, nothing reads it again.
  await ada.open('/');
  await expect(ada.entry('Ben')).toBeVisible();
  await expect(ada.unread('Ben')).toBeHidden();
  await ada.openConversation('Ben');
  await ada.send('my own are never unread');
  await expect(adaToo.entry('Ben')).toContainText('my own are never unread');
  await expect(adaToo.unread('Ben')).toBeHidden();
});

test('what arrives before one\'s eyes is read', async ({ person, again }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const adaToo = await again('Ada');
  for (const text of ['one', 'two', 'three']) await ben.send(text);
  await expect(ada.row('three')).toBeInViewport();
  await expect(ada.unread('Ben')).toBeHidden();
  await expect(ada.page).not.toHaveTitle(/\d/);
  await expect(adaToo.entry('Ben')).toContainText('three');
  await expect(adaToo.unread('Ben')).toBeHidden();
});

test('the list shows the last message, newest conversation first', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const cleo = await person('Cleo');
  await connect(ada, ben);
  await connect(ada, cleo);
  await ben.send('Ben was here');
  await expect(ada.list.locator('a[data-session]').first()).toContainText('Ben was here');
  await cleo.send('Cleo too');
  await expect(ada.list.locator('a[data-session]').first()).toContainText('Cleo too');
  await expect(ada.entry('Ben').locator('time')).toHaveCount(1);
});

test('presence follows the last connection, not the first', async ({ person, again }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const cleo = await person('Cleo');
  await connect(ada, cleo);
  await connect(ada, ben);
  await expect(ada.presence('Ben')).toHaveAttribute('data-status', 'Online');
  await expect(ada.page.getByRole('main')).toContainText(/online/i);
  const benToo = await again('Ben');
  await benToo.openConversation('Ada');
  await benToo.send('still here');
  await expect(ada.row('still here')).toBeVisible();
  // Going offline has a grace period. Cleo leaves for good after Ben's first connection ended, so her going shows that
  // his has expired too.
  await ben.page.context().close();
  await cleo.page.context().close();
  await expect(ada.presence('Cleo')).toHaveAttribute('data-status', 'Offline', { timeout: 20_000 });
  await expect(ada.presence('Ben')).toHaveAttribute('data-status', 'Online');
  await benToo.page.context().close();
  await expect(ada.presence('Ben')).toHaveAttribute('data-status', 'Offline', { timeout: 20_000 });
  await expect(ada.page.getByRole('main')).toContainText(/offline/i);
});

test('three people: what two say, the third never sees', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const cleo = await person('Cleo');
  const withBen = await connect(ada, ben);
  const withCleo = await connect(cleo, ada);
  expect(withBen).not.toBe(withCleo);
  await ada.openConversation('Ben');
  await ada.send('only for Ben');
  await ada.openConversation('Cleo');
  await ada.send('only for Cleo');
  await cleo.send('Cleo answers');
  await ben.send('Ben answers');
  await expect(ada.row('Cleo answers')).toBeVisible();
  expect(await ada.texts()).toEqual(['only for Cleo', 'Cleo answers']);
  await ada.openConversation('Ben');
  await expect(ada.row('Ben answers')).toBeVisible();
  expect(await ada.texts()).toEqual(['only for Ben', 'Ben answers']);
  expect(await ben.texts()).toEqual(['only for Ben', 'Ben answers']);
  expect(await cleo.texts()).toEqual(['only for Cleo', 'Cleo answers']);
  await expect(ben.list.locator('a[data-session]')).toHaveCount(1);
  await expect(cleo.entry('Ben')).toHaveCount(0);
});
