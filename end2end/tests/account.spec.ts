// Registering, signing in and out: fully loaded, before the WASM has arrived, and without JavaScript.

import type { Page } from '@playwright/test';

import { PASSWORD, connect, expect, holdWasm, hydrated, register, signIn, signOut, test } from '../support/test';
import { Chat } from '../pages/chat';
import { Cable } from '../support/cable';
import { Line } from '../support/line';

async function fill(page: Page, name: string, password: string): Promise<void> {
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(password);
}

async function createAccount(page: Page, name: string, password = PASSWORD): Promise<void> {
  await page.goto('/');
  await page.getByRole('link', { name: 'Create an account' }).first().click();
  await expect(page.getByRole('heading', { level: 1, name: 'Create your account' })).toBeVisible();
  await fill(page, name, password);
  await page.getByRole('button', { name: 'Create account' }).click();
}

async function finishSigningIn(page: Page, name: string): Promise<void> {
  await expect(page.getByRole('heading', { level: 1, name: 'Sign in' })).toBeVisible();
  await expect(page.getByText('Your account is ready. Sign in to begin.')).toBeVisible();
  await expect(page.getByLabel('Name')).toHaveValue(name);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation', { name: 'Conversations' })).toBeVisible();
  await expect(page.getByText(name, { exact: true }).first()).toBeVisible();
}

test('a visitor registers, signs in and is in the chat', async ({ visitor }) => {
  const page = await visitor();
  await createAccount(page, 'Ada');
  await finishSigningIn(page, 'Ada');
  await hydrated(page);
});

test('registering and signing in work while the WASM is still on its way', async ({ visitor }) => {
  const page = await visitor();
  await holdWasm(page);
  await createAccount(page, 'Ada');
  await finishSigningIn(page, 'Ada');
  await expect(page.locator('body[data-hydrated]')).not.toBeAttached();
});

for (const javaScriptEnabled of [true, false]) {
  test(`a name that was copied with marks nobody sees is registered without them (JavaScript: ${javaScriptEnabled})`, async ({ visitor }) => {
    const page = await visitor({ javaScriptEnabled });
    await createAccount(page, '\u2068Zoë\u2069');
    await finishSigningIn(page, 'Zoë');
  });
}

test('what is typed before the WASM arrives is kept', async ({ visitor }) => {
  const page = await visitor();
  const release = await holdWasm(page);
  await page.goto('/register');
  await fill(page, 'Ada', PASSWORD);
  release();
  await hydrated(page);
  await expect(page.getByLabel('Name')).toHaveValue('Ada');
  await expect(page.getByLabel('Password')).toHaveValue(PASSWORD);
  await page.getByRole('button', { name: 'Create account' }).click();
  await finishSigningIn(page, 'Ada');
});

test('whoever did not get the answer creates the account once more and gets on', async ({ visitor, provokes }) => {
  provokes(/Failed to load resource|ERR_FAILED/);
  const page = await visitor();
  await page.goto('/register');
  await hydrated(page);
  await fill(page, 'Ada', PASSWORD);
  await page.route('**/api/register', async (route) => {
    await route.fetch(); // created, and the answer is lost
    await route.abort();
  }, { times: 1 });
  const create = page.getByRole('button', { name: 'Create account' });
  await create.click();
  await expect(page.getByRole('alert')).toBeVisible();
  await fill(page, 'Ada', PASSWORD);
  await create.click();
  await finishSigningIn(page, 'Ada');
});

test('a message begun before the WASM arrives is kept, and can be read beside', async ({ person, visitor }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  await ada.send('read me at once');

  const page = await visitor();
  await signIn(page, 'Ben');
  const release = await holdWasm(page);
  await page.goto(`/chat/${session}`);
  const early = new Chat(page, 'Ben');
  await expect(early.row('read me at once')).toBeVisible();
  await early.composer.fill('typed before hydration');
  release();
  await hydrated(page);
  await expect(early.composer).toHaveValue('typed before hydration');
  await early.composer.press('Enter');
  await expect(ada.row('typed before hydration')).toBeVisible();
});

test.describe('without JavaScript', () => {
  const noScript = { javaScriptEnabled: false };

  test('registering, signing in and signing out', async ({ visitor }) => {
    const page = await visitor(noScript);
    await createAccount(page, 'Ada');
    await finishSigningIn(page, 'Ada');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await expect(page.getByRole('link', { name: 'Sign in' }).first()).toBeVisible();
  });

  test('a double click creates one account and leads on', async ({ visitor }) => {
    const page = await visitor(noScript);
    await page.goto('/register');
    await fill(page, 'Ada', PASSWORD);
    await page.getByRole('button', { name: 'Create account' }).dblclick();
    await finishSigningIn(page, 'Ada');
  });

  test('a refusal says why and keeps the name', async ({ natter, visitor }) => {
    await register(natter.url, 'Ada');
    const page = await visitor(noScript);
    await createAccount(page, 'Ada', 'another horse');
    await expect(page.getByRole('alert')).toContainText(/name .*is taken/);
    await expect(page.getByLabel('Name')).toHaveValue('Ada');
    await expect(page.getByLabel('Password')).toHaveValue('');
    await page.goto('/login');
    await fill(page, 'Ada', 'not the password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByRole('alert')).toContainText('The password does not match this name');
    await expect(page.getByLabel('Name')).toHaveValue('Ada');
  });

  test('reading', async ({ person, visitor }) => {
    const ada = await person('Ada');
    const ben = await person('Ben');
    const session = await connect(ada, ben);
    await ada.send('plain HTML');
    const page = await visitor(noScript);
    await signIn(page, 'Ben');
    const reader = new Chat(page, 'Ben');
    await page.goto('/');
    await reader.entry('Ada').click();
    expect(await reader.session()).toBe(session);
    await expect(reader.row('plain HTML')).toBeVisible();
  });
});

test('a refusal shows in place, says why and keeps the name', async ({ natter, visitor, provokes }) => {
  provokes(/the server responded with a status of 4/);
  await register(natter.url, 'Ada');
  const page = await visitor();
  const alert = page.getByRole('alert');

  await page.goto('/register');
  await hydrated(page);
  await page.evaluate(() => (document.title = 'the same document'));
  await fill(page, 'Ada', 'another horse');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(alert).toContainText(/name .*is taken/);
  await expect(page.getByLabel('Name')).toHaveValue('Ada');
  // With letters of another alphabet, this would look like an existing name.
  await fill(page, 'Аda', PASSWORD);
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(alert).not.toContainText(/name .*is taken/);
  await expect(alert).not.toBeEmpty();
  await fill(page, 'Ben', 'short');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(alert).toContainText(/password/i);
  await expect(page).toHaveTitle('the same document');

  await page.goto('/login');
  await hydrated(page);
  await fill(page, 'Nobody', PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(alert).toContainText('There is no user with this name');
  await fill(page, 'Ada', 'not the password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(alert).toContainText('The password does not match this name');
  await expect(page.getByLabel('Name')).toHaveValue('Ada');
  await fill(page, 'aDA', PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation', { name: 'Conversations' })).toBeVisible();
});

test('signing out ends the login in every tab of the browser', async ({ person }) => {
  const ada = await person('Ada');
  const other = new Chat(await ada.page.context().newPage(), 'Ada');
  await other.open();
  // While a socket is opening, the end of the login would be an error.
  await Promise.all([ada.welcomed(), other.welcomed()]);
  await ada.page.getByRole('button', { name: 'Sign out' }).click();
  await expect(ada.page.getByRole('link', { name: 'Sign in' }).first()).toBeVisible();
  await expect(ada.list).not.toBeVisible();
  // The other tab's socket is closed, and it leads to the sign-in instead of merely looking offline.
  await expect(other.page.getByRole('link', { name: /sign in/i }).or(other.page.getByLabel('Password')).first()).toBeVisible();
  await other.page.goto(`/chat/00000000-0000-7000-8000-000000000000`);
  await expect(other.page).toHaveURL(/\/login$/);
});

test('what was written goes when one has signed out, and not before', async ({ person, provokes }) => {
  provokes(/Failed to load resource|ERR_FAILED|WebSocket connection/);
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  const line = await Line.tap(ada);
  await line.unplug();
  await ada.type('not sent yet');
  await expect(ada.row('not sent yet')).toHaveAttribute('data-state', 'pending');
  await ada.composer.fill('a draft');
  const kept = () => ada.page.evaluate(() => Object.keys(localStorage).filter((key) => /draft|unsent/.test(key)).length);
  expect(await kept()).toBe(2);

  const questions: string[] = [];
  ada.page.on('dialog', (dialog) => {
    questions.push(dialog.message());
    void dialog.accept();
  });
  await ada.page.route(/\/logout$/, (route) => route.abort());
  await ada.page.getByRole('button', { name: 'Sign out' }).click();
  await ada.page.waitForURL(/^chrome-error/);
  await ada.page.unroute(/\/logout$/);
  await ada.open(`/chat/${session}`);
  await expect(ada.row('not sent yet')).toHaveAttribute('data-state', 'pending');
  await expect(ada.composer).toHaveValue('a draft');

  await ada.page.getByRole('button', { name: 'Sign out' }).click();
  await expect(ada.page.getByRole('link', { name: 'Sign in' }).first()).toBeVisible();
  await expect.poll(kept).toBe(0);
  expect(await ada.page.evaluate(() => localStorage.length)).toBe(0);
  expect(questions).toEqual(Array(2).fill('One message has not been sent yet. Sign out and lose it?'));
});

test('what the browser cannot keep stays on the page when the login ends', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  await ada.page.addInitScript(() => {
    Storage.prototype.setItem = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
  });
  await ada.reload();
  await ada.welcomed();
  await ada.composer.fill('nowhere else');
  await signOut(ada.page);
  await expect(ada.connectionLost).toContainText('You are signed out');
  await expect(ada.composer).toHaveValue('nowhere else');
  await ada.connectionLost.getByRole('button', { name: 'Sign in' }).click();
  await expect(ada.page.getByLabel('Password')).toBeVisible();
});

test('somebody signed in is not asked to sign in again', async ({ person }) => {
  const ada = await person('Ada');
  for (const path of ['/login', '/register']) {
    await ada.page.goto(path);
    await expect(ada.list).toBeVisible();
    expect(new URL(ada.page.url()).pathname).toBe('/');
  }
});

test('a wrong address is a page that leads back', async ({ person, visitor, provokes }) => {
  provokes(/the server responded with a status of 404/);
  const page = await visitor();
  expect((await page.goto('/no/such/page'))?.status()).toBe(404);
  await hydrated(page);
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await expect(page.locator('a[href="/"]').first()).toBeVisible();

  // Other people's conversations look like ones that do not exist.
  const ada = await person('Ada');
  const ben = await person('Ben');
  const cleo = await person('Cleo');
  const session = await connect(ada, ben);
  const foreign = await cleo.page.goto(`/chat/${session}`);
  expect(foreign?.status()).toBe(404);
  const words = await cleo.page.locator('body').innerText();
  const missing = await cleo.page.goto('/chat/00000000-0000-7000-8000-000000000000');
  expect(missing?.status()).toBe(404);
  expect(await cleo.page.locator('body').innerText()).toBe(words);
});

for (const javaScriptEnabled of [true, false]) {
  test(`a browser that keeps no cookies is told so, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async ({ natter, visitor }) => {
    await register(natter.url, 'Ada');
    const page = await visitor({ javaScriptEnabled });
    const cable = await Cable.to(natter, { keepsCookies: false });
    await page.goto(`${cable.url}/login`);
    if (javaScriptEnabled) await hydrated(page);
    await fill(page, 'Ada', PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByRole('alert')).toContainText('Allow cookies for this site');
    await expect(page.getByLabel('Name')).toHaveValue('Ada');
    cable.remove();
  });
}

test.describe('a server that takes nobody new', () => {
  test.use({ settings: ['--limits', 'off', '--registration', 'closed'] });

  test('offers no accounts, and says so to whoever looks for one', async ({ visitor, provokes }) => {
    provokes(/status of 4/);
    const page = await visitor();
    for (const path of ['/', '/login', '/register', '/login?Error=InvalidUser&Username=Ada']) {
      await page.goto(path);
      await hydrated(page);
      await expect(page.locator('a, button').first()).toBeVisible();
      await expect(page.locator('a[href="/register"]'), path).toHaveCount(0);
      await expect(page.locator('body'), path).not.toContainText(/or register|create an account/i);
    }
    await page.goto('/register');
    await expect(page.locator('input')).toHaveCount(0);
    await expect(page.getByRole('main')).toContainText('This server is not open for registration.');
  });
});

test('a sign-out whose answer never comes leaves no page that only seems to live', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  await connect(ada, ben);
  await ada.page.route(/\/logout$/, (route) => void route.fetch({ maxRedirects: 0 })); // done, and not answered
  await ada.page.getByRole('button', { name: 'Sign out' }).click({ noWaitAfter: true });
  await expect(ada.page).toHaveURL(/\/login/, { timeout: 25_000 });
});
