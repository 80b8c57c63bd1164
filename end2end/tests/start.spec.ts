// A page that is slow to start, cannot start, or dies: it says so, and what needs no scripts works.

import { type Page } from '@playwright/test';

import { PASSWORD, connect, expect, holdWasm, hydrated, register, signIn, test } from '../support/test';
import { Chat } from '../pages/chat';

const cut = (page: Page, file: RegExp) => page.context().route(file, (route) => route.abort());

test('slow is not stuck: the page says that it still loads, for as long as it does', async ({ person, visitor }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const session = await connect(ada, ben);
  const page = await visitor();
  await signIn(page, 'Ben');
  const release = await holdWasm(page);
  await page.goto(`/chat/${session}`);
  const note = () =>
    page.evaluate(() => {
      const style = getComputedStyle(document.querySelector('.chat')!, '::after');
      return { words: style.content, seen: Number(style.opacity) };
    });
  await expect.poll(async () => (await note()).seen, 'after a while').toBe(1);
  expect((await note()).words).toContain('Still loading');
  await expect(page.locator('.watchdog')).toHaveCount(0);
  release();
  await hydrated(page);
  expect((await note()).words).toBe('none');
});

for (const [what, file] of Object.entries({ 'the WASM': /natter\.wasm/, 'the script': /natter\.js/ })) {
  test(`a page of which ${what} does not arrive says so, and can be read and left`, async ({ person, visitor, provokes }) => {
    provokes(/Failed to (load resource|fetch)|ERR_FAILED|TypeError|WebAssembly/);
    const [ada, ben] = [await person('Ada'), await person('Ben')];
    await connect(ada, ben);
    await ada.send('read me');
    const page = await visitor();
    await cut(page, file);
    await register(ada.page.url().replace(/\/chat.*/, ''), 'Cleo');
    await page.goto('/login');
    const note = page.getByRole('alert');
    await expect(note).toContainText('This page could not start: a part of it did not arrive');
    await expect(note.getByRole('link', { name: 'Reload' })).toBeVisible();
    // The form still works.
    await page.getByLabel('Name').fill('Ben');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).click();
    const reader = new Chat(page, 'Ben');
    await expect(reader.list).toBeVisible();
    await expect(note).toBeVisible();
    await reader.entry('Ada').click();
    await expect(reader.row('read me')).toBeVisible();
    await expect(reader.row('read me').locator('time')).toBeVisible();
    // Nothing is offered that would not work.
    await expect(reader.composer).toBeHidden();
    await expect(page.getByText('Writing needs JavaScript')).toBeVisible();
    // The note covers something, so it can be dismissed.
    await note.getByRole('button', { name: 'Dismiss' }).click();
    await expect(note).toBeHidden();
    await page.locator('.back').evaluate((back) => (back as HTMLElement).click());
    await page.getByRole('button', { name: 'Sign out' }).click();
    await expect(page.getByRole('link', { name: 'Sign in' })).toBeVisible();
  });
}

test('a browser without WebAssembly is told so, and registers and signs in', async ({ visitor }) => {
  const page = await visitor();
  await page.addInitScript(() => Reflect.deleteProperty(window, 'WebAssembly'));
  await page.goto('/register');
  await expect(page.getByRole('alert')).toContainText('has WebAssembly switched off');
  await page.getByLabel('Name').fill('Ada');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByText('Your account is ready')).toBeVisible();
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation', { name: 'Conversations' })).toBeVisible();
});

test('a browser that knows no modules is told so', async ({ visitor }) => {
  const page = await visitor();
  // As in such a browser: the script is there and never runs.
  await page.route(/\/login$/, async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: (await answer.text()).replace('type="module"', 'type="unheard-of"') });
  });
  await page.goto('/login');
  await expect(page.getByRole('alert')).toContainText('this browser is too old');
});

test('what is typed before a start that fails is still there, and goes nowhere by itself', async ({ person, visitor, provokes }) => {
  provokes(/Failed to (load resource|fetch)|ERR_FAILED|TypeError|WebAssembly/);
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const session = await connect(ada, ben);
  const page = await visitor();
  await signIn(page, 'Ben');
  let fail!: () => void;
  const failed = new Promise<void>((resolve) => (fail = resolve));
  await page.route(/natter\.wasm/, async (route) => {
    await failed;
    await route.abort();
  });
  await page.goto(`/chat/${session}`);
  const reader = new Chat(page, 'Ben');
  await reader.composer.fill('copy me');
  fail();
  await expect(page.getByRole('alert')).toContainText('could not start');
  await expect(reader.composer).toBeVisible();
  await expect(reader.composer).toHaveValue('copy me');
});

test('a page that dies says so, and can be reloaded', async ({ person, provokes }) => {
  provokes(/RuntimeError/);
  const ada = await person('Ada');
  await ada.page.evaluate(() => void Promise.reject(new WebAssembly.RuntimeError('unreachable')));
  const note = ada.page.getByRole('alert');
  await expect(note).toContainText('Something went wrong on this page.');
  await note.getByRole('link', { name: 'Reload' }).click();
  await hydrated(ada.page);
  await expect(note).toHaveCount(0);
});

test('styles that do not arrive are not passed over', async ({ visitor, provokes }) => {
  provokes(/Failed to load resource|ERR_FAILED/);
  const page = await visitor();
  await cut(page, /natter\.css/);
  await page.goto('/');
  await expect(page.getByRole('alert')).toContainText('A part of this page did not arrive.');
  await hydrated(page);
});
