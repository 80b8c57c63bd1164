// Several tabs of one browser share its storage: none overwrites what another keeps.

import { Chat } from '../pages/chat';
import { Line } from '../support/line';
import { connect, expect, test } from '../support/test';

/** Opens another tab of the same browser. */
async function tab(chat: Chat, path: string): Promise<Chat> {
  const other = new Chat(await chat.page.context().newPage(), chat.name);
  await other.open(path);
  return other;
}

/** Returns the drafts that the browser keeps. */
function kept(chat: Chat): Promise<string[]> {
  return chat.page.evaluate(() =>
    Object.entries(localStorage).flatMap(([key, text]) => (key.includes('/draft/') ? [text as string] : [])),
  );
}

test('a draft outlasts what another tab writes and sends in the same conversation', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const path = `/chat/${await connect(ada, ben)}`;
  const second = await tab(ada, path);
  await ada.composer.fill('a long letter');
  await expect.poll(() => kept(ada)).toEqual(['a long letter']);
  await second.composer.pressSequentially('ok');
  await second.reload();
  await expect(second.composer, 'each tab has its own').toHaveValue('ok');
  await second.composer.press('Enter');
  await expect(ada.row('ok')).toBeVisible();
  await expect(ada.composer).toHaveValue('a long letter');
  await ada.reload();
  await expect(ada.composer).toHaveValue('a long letter');
  await ada.page.close();
  const third = await tab(second, path);
  await expect(third.composer, 'a new tab begins with it').toHaveValue('a long letter');
});

test('a draft outlasts another tab that began with it and made something else of it', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const path = `/chat/${await connect(ada, ben)}`;
  await ada.composer.fill('a long letter');
  await expect.poll(() => kept(ada)).toEqual(['a long letter']);
  const second = await tab(ada, path);
  await expect(second.composer).toHaveValue('a long letter');
  await second.type('ok');
  await expect(ada.row('ok')).toBeVisible();
  await expect.poll(async () => (await kept(ada)).includes('a long letter'), 'put aside').toBe(true);
  await ada.reload();
  await expect(ada.composer).toHaveValue('a long letter');
});

test('a draft that was sent goes from every tab that shows it, and from the storage', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  await connect(ada, cleo);
  const path = `/chat/${await connect(ada, ben)}`;
  await ada.composer.fill('shall we meet at six?');
  await expect.poll(() => kept(ada)).toEqual(['shall we meet at six?']);
  const second = await tab(ada, path);
  const third = await tab(ada, path);
  await expect(second.composer).toHaveValue('shall we meet at six?');
  await third.composer.pressSequentially(' Or at seven?');
  await second.composer.press('Enter');
  await expect(ben.row('shall we meet at six?')).toBeVisible();
  await expect(ada.composer).toHaveValue('');
  await expect(third.composer, 'what goes on is another one').toHaveValue('shall we meet at six? Or at seven?');
  await expect.poll(() => kept(ada)).toEqual(['shall we meet at six? Or at seven?']);
  // Nor does it come back in a conversation that is opened later.
  await ada.openConversation('Cleo');
  await ada.openConversation('Ben');
  await third.composer.press('Enter');
  await expect.poll(() => kept(ada)).toEqual([]);
  await ada.reload();
  await expect(ada.composer).toHaveValue('');
});

test('a draft that says the same as what another tab has sent before stays, whatever becomes of that', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const path = `/chat/${await connect(ada, ben)}`;
  const second = await tab(ada, path);
  const line = await Line.tap(ada);
  const sent: string[] = [];
  line.onSaid((frame) => frame.type !== 'Message' || !sent.push(String(frame.MessageID)));
  await ada.type('ok');
  await expect(ada.row('ok')).toHaveAttribute('data-state', 'pending');
  await second.composer.fill('ok');
  await expect.poll(() => kept(ada)).toEqual(['ok']);
  // Storage events arrive in order: this one comes after all others of the first tab.
  const heard = second.page.evaluate(() => new Promise<void>((done) => addEventListener('storage', ({ key }) => key === 'last' && done())));
  line.tell({ type: 'Refused', MessageID: sent[0], Code: 'Unavailable', Reason: 'Not today.' });
  await expect(ada.row('ok')).toHaveAttribute('data-state', 'failed');
  await ada.page.evaluate(() => localStorage.setItem('last', 'this'));
  await heard;
  await expect(second.composer).toHaveValue('ok');
  expect(await kept(ada)).toEqual(['ok']);
});

test('a draft that a closed tab kept to itself is found when the other one is sent, and goes when it is sent itself', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const path = `/chat/${await connect(ada, ben)}`;
  const second = await tab(ada, path);
  await ada.composer.fill('ok');
  await expect.poll(() => kept(second)).toEqual(['ok']);
  await second.composer.fill('a long letter');
  await expect.poll(async () => (await kept(ada)).sort()).toEqual(['a long letter', 'ok']);
  await second.page.close();
  await ada.composer.press('Enter');
  await expect(ada.row('ok')).toHaveAttribute('data-state', 'sent');
  const third = await tab(ada, path);
  await expect(third.composer).toHaveValue('a long letter');
  await third.composer.pressSequentially(', and its end');
  await third.composer.press('Enter');
  await expect(ben.row('a long letter, and its end')).toBeVisible();
  await expect.poll(() => kept(third)).toEqual([]);
});

test('a tab that was duplicated is one of its own', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  await connect(ada, ben);
  await ada.composer.fill('one');
  await expect.poll(() => kept(ada)).toEqual(['one']);
  // The browser copies the tab's session storage, as for "Duplicate".
  const opened = ada.page.waitForEvent('popup');
  await ada.page.evaluate(() => void window.open(location.href));
  const copy = new Chat(await opened, 'Ada');
  await expect(copy.composer).toHaveValue('one');
  await expect(copy.page.locator('body[data-hydrated]')).toBeAttached();
  await copy.composer.pressSequentially(' two');
  await expect.poll(async () => (await kept(ada)).sort()).toEqual(['one', 'one two']);
  await copy.reload();
  await expect(copy.composer).toHaveValue('one two');
  await ada.reload();
  await expect(ada.composer).toHaveValue('one');
});

test('who signs out leaves nothing behind, also when another tab begins meanwhile', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const session = await connect(ada, ben);
  await ada.composer.fill('a draft');
  await expect.poll(() => kept(ada)).toEqual(['a draft']);
  const second = await tab(ada, `/chat/${session}`);
  // The sign-out is in flight, and slow; meanwhile another tab starts as the same person.
  let arrive!: () => void;
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  await ada.page.route('**/logout', async (route) => {
    await arrived;
    await route.continue();
  });
  await ada.page.getByRole('button', { name: 'Sign out' }).click({ noWaitAfter: true });
  await second.reload();
  await second.welcomed(); // a socket that is still opening would be refused
  arrive();
  await ada.page.waitForURL(/\/(login)?$/);
  await expect(ada.page.getByRole('link', { name: 'Sign in' })).toBeVisible();
  await expect.poll(() => kept(ada), 'nothing of hers is left').toEqual([]);
});
