// The parts of the page's code: each comes with the pages that it draws, once, and a page says so when it does not come.
// And the pages that need none.

import type { Page } from '@playwright/test';

import { PASSWORD, expect, hydrated, register, test } from '../support/test';

/** Collects the names of the files that a page requests from now on. */
function requested(page: Page): string[] {
  const names: string[] = [];
  page.on('request', (request) => names.push(new URL(request.url()).pathname.replace(/^.*\//, '')));
  return names;
}

const count = (names: string[], name: string) => names.filter((asked) => asked === name).length;

test('a door brings its own part, the chat does not, and no file comes twice', async ({ natter, visitor, provokes }) => {
  provokes(/status of 401/);
  await register(natter.url, 'Ada');
  const page = await visitor();
  const asked = requested(page);
  for (const door of ['/', '/register', '/login']) {
    asked.length = 0;
    await page.goto(door);
    await hydrated(page);
    for (const file of ['natter.js', 'natter.wasm', 'split_doors.wasm']) expect(count(asked, file), `${file} at ${door}`).toBe(1);
  }
  // The form is answered in place, so the part is alive.
  await page.getByLabel('Name').fill('Ada');
  await page.getByLabel('Password').fill('not the password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('does not match');
  expect(new URL(page.url()).search).toBe('');
  await page.getByLabel('Password').fill(PASSWORD);
  asked.length = 0;
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation', { name: 'Conversations' })).toBeVisible();
  await hydrated(page);
  expect(count(asked, 'split_doors.wasm'), 'in the chat').toBe(0);
  expect(count(asked, 'natter.wasm')).toBeGreaterThan(0);
});

test('after an upgrade of the server a part that it no longer has is missed with words, and the door still opens', async ({ natter, visitor, provokes }) => {
  provokes(/status of 404|TypeError|split module|Failed to fetch/);
  await register(natter.url, 'Ada');
  const page = await visitor();
  // As for a page of the version before: the server's own answer to a part of a build that it does not have.
  await page.route(/split_doors/, (route) => route.continue({ url: route.request().url().replace(/pkg\/\w+/, 'pkg/0123456789abcdef') }));
  const answer = page.waitForResponse(/split_doors/);
  await page.goto('/login');
  expect((await answer).status()).toBe(404);
  const note = page.getByRole('alert');
  await expect(note).toContainText('a part of it did not arrive');
  await expect(note.getByRole('link', { name: 'Reload' })).toBeVisible();
  await page.getByLabel('Name').fill('Ada');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation', { name: 'Conversations' })).toBeVisible();
  await hydrated(page); // the chat needs no other part
});

test.describe('without JavaScript', () => {
  test('a stranger reads about the server, and finds the way in', async ({ visitor }) => {
    const page = await visitor({ javaScriptEnabled: false });
    await page.goto('/');
    await page.getByRole('link', { name: 'About this server' }).click();
    await expect(page.getByRole('heading', { name: 'About this server' })).toBeVisible();
    await expect(page.getByText('not end-to-end encrypted')).toBeVisible();
    await page.getByRole('link', { name: 'Anyone can create one' }).click();
    await expect(page.getByRole('button', { name: 'Create account' })).toBeVisible();
    await page.getByRole('link', { name: 'About this server' }).click();
    await page.getByRole('link', { name: 'Natter', exact: true }).click();
    await expect(page.getByRole('link', { name: 'Sign in' })).toBeVisible();
  });
});

test('about this server: no script, no WASM, and nothing of whoever reads it', async ({ person }) => {
  const ada = await person('Ada');
  const asked = requested(ada.page);
  await ada.page.goto('/about');
  await expect(ada.page.getByRole('heading', { name: 'What is kept here' })).toBeVisible();
  expect(asked.filter((name) => /\.(js|wasm)$/.test(name))).toEqual([]);
  expect(await ada.page.locator('script').count()).toBe(0);
  await expect(ada.page.getByText('Ada')).toHaveCount(0);
});
