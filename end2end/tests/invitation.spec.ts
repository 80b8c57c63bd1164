// The seed's search: people search for somebody by name, who says yes or no.

import { connect, expect, register, test } from '../support/test';

test('case 1, accepted: the invitation appears at once, and both can talk', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await ada.invite('Ben');
  await expect(ben.card('Ada')).toBeVisible();
  await ben.accept('Ada');
  // Without a reload, the conversation is on both sides, and the invitation is gone from both.
  await expect(ben.entry('Ada')).toHaveAttribute('aria-current', 'page');
  await expect(ben.card('Ada')).toBeHidden();
  await expect(ada.entry('Ben')).toBeVisible();
  await expect(ada.waiting('Ben')).toBeHidden();
  await expect(ada.answer).toContainText('Ben accepted.');
  await ben.send('hello Ada');
  await ada.openConversation('Ben');
  await expect(ada.row('hello Ada')).toBeVisible();
  await ada.send('hello Ben');
  await expect(ben.row('hello Ben')).toBeVisible();
  await ben.reload();
  expect(await ben.texts()).toEqual(['hello Ada', 'hello Ben']);
});

test('case 1, rejected: the answer comes back, and there is no conversation', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await ada.invite('Ben');
  await ben.card('Ada').getByRole('button', { name: 'Reject' }).click();
  await expect(ben.card('Ada')).toBeHidden();
  await expect(ada.waiting('Ben')).toBeHidden();
  await expect(ada.answer).toContainText('Ben does not want to talk now.');
  await Promise.all([ada.reload(), ben.reload()]);
  await expect(ada.entry('Ben')).toBeHidden();
  await expect(ben.entry('Ada')).toBeHidden();
  await expect(ben.card('Ada')).toBeHidden();
});

test('case 2: somebody offline is told of the invitation on their return, if one is left', async ({ natter, person, again }) => {
  await register(natter.url, 'Ben');
  const ada = await person('Ada');
  await ada.searchFor('Ben');
  await expect(ada.answer).toContainText(/offline/i);
  await expect(ada.waiting('Ben')).toBeHidden();
  await ada.page.getByRole('button', { name: 'Leave an invitation' }).click();
  await expect(ada.waiting('Ben')).toBeVisible();
  await ada.reload();
  await expect(ada.waiting('Ben')).toBeVisible();

  const back = await again('Ben');
  await back.accept('Ada');
  await expect(ada.entry('Ben')).toBeVisible();
});

test('case 3: nobody has this name', async ({ person }) => {
  const ada = await person('Ada');
  await ada.searchFor('Nobody');
  await expect(ada.answer).toContainText('Nobody');
  await expect(ada.waiting('Nobody')).toBeHidden();
  await expect(ada.page.getByRole('button', { name: 'Leave an invitation' })).toBeHidden();
});

test('an invitation can be taken back', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await ada.invite('Ben');
  await expect(ben.card('Ada')).toBeVisible();
  await ada.waiting('Ben').getByRole('button', { name: 'Cancel' }).click();
  await expect(ada.waiting('Ben')).toBeHidden();
  await expect(ben.card('Ada')).toBeHidden();
});

test('an invitation and its card outlast a reload, and its answer reaches every tab', async ({ person, again }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const benToo = await again('Ben');
  await ada.invite('Ben');
  await expect(ada.answer).toContainText('Your invitation is with Ben.');
  await ada.answer.getByRole('button', { name: 'Dismiss' }).click();
  await expect(ada.answer).toBeEmpty();
  // Inviting twice makes one invitation.
  await ada.searchFor('Ben');
  await expect(ada.answer).toContainText('Your invitation is with Ben.');
  await Promise.all([ada.reload(), ben.reload()]);
  await expect(ada.waiting('Ben')).toHaveCount(1);
  await expect(ben.card('Ada')).toHaveCount(1);
  await expect(benToo.card('Ada')).toHaveCount(1);
  await ben.accept('Ada');
  await expect(benToo.card('Ada')).toBeHidden();
  await expect(benToo.entry('Ada')).toBeVisible();
});

test('two people who invite each other end in one conversation', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await Promise.all([ada.searchFor('Ben'), ben.searchFor('Ada')]);
  await expect(ada.entry('Ben')).toHaveCount(1);
  await expect(ben.entry('Ada')).toHaveCount(1);
  await Promise.all([ada.openConversation('Ben'), ben.openConversation('Ada')]);
  expect(await ada.session()).toBe(await ben.session());
  await ada.send('there you are');
  await expect(ben.row('there you are')).toBeVisible();
  await Promise.all([ada.reload(), ben.reload()]);
  await expect(ada.list.locator('a[data-session]')).toHaveCount(1);
  await expect(ben.list.locator('a[data-session]')).toHaveCount(1);
});

test('taking back while the other accepts: no longer open, or one conversation for both', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await ada.invite('Ben');
  await expect(ben.card('Ada')).toBeVisible();
  // The later one may find the button gone before the click.
  const late = { timeout: 2_000 };
  await Promise.all([
    ada.waiting('Ben').getByRole('button', { name: 'Cancel' }).click(late).catch(() => undefined),
    ben.card('Ada').getByRole('button', { name: 'Accept' }).click(late).catch(() => undefined),
  ]);
  await expect(ada.waiting('Ben')).toBeHidden();
  await expect(ben.card('Ada')).toBeHidden();
  await Promise.all([ada.reload(), ben.reload()]);
  expect(await ada.entry('Ben').count()).toBe(await ben.entry('Ada').count());
});

test('looking for somebody one talks to already opens the conversation', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  await ada.page.goto('/');
  await expect(ada.page.locator('body[data-hydrated]')).toBeAttached();
  await ada.searchFor('ben');
  expect(await ada.session()).toBe(session);
  await expect(ada.list.locator('a[data-session]')).toHaveCount(1);
});

test('one cannot invite oneself', async ({ person }) => {
  const ada = await person('Ada');
  await ada.searchFor('Ada');
  await expect(ada.answer).toContainText(/yourself/i);
  await expect(ada.waiting('Ada')).toBeHidden();
});
