// What every test builds on: its own server, people in their own browsers, and the watch for errors.

import { writeFile } from 'node:fs/promises';

import { type Browser, type BrowserContext, type BrowserContextOptions, type Page, expect, test as base } from '@playwright/test';

import { Chat } from '../pages/chat';
import { Natter } from './natter';

export { expect } from '@playwright/test';

/** Good enough for everybody in these tests. */
export const PASSWORD = 'correct horse';

const PANIC = /^thread .* panicked at/m;

interface Fixtures {
  /** Settings for the server beyond address and data folder. */
  settings: string[];
  /** This test's own server. */
  natter: Natter;
  /** Names an error that this test provokes on purpose; any other error on any page fails the test. */
  provokes: (error: RegExp) => void;
  /** A separate browser, on no page yet and not signed in. */
  visitor: (options?: BrowserContextOptions) => Promise<Page>;
  /** Somebody registered and signed in, in their own browser, with the chat open and hydrated. */
  person: (name: string, options?: BrowserContextOptions) => Promise<Chat>;
  /** The same for somebody already registered: another browser of theirs. */
  again: (name: string, options?: BrowserContextOptions) => Promise<Chat>;
}

export const test = base.extend<Fixtures>({
  settings: [['--limits', 'off'], { option: true }],

  natter: async ({ settings }, use, testInfo) => {
    // One address per worker: while a server restarts, nobody else gets its port.
    const natter = await Natter.start(settings, `127.0.0.${2 + testInfo.parallelIndex}`);
    await use(natter);
    if (testInfo.status !== testInfo.expectedStatus || PANIC.test(natter.log)) {
      await writeFile(testInfo.outputPath('server.log'), natter.log);
      await testInfo.attach('server log', { path: testInfo.outputPath('server.log') });
    }
    await natter.dispose();
    expect(natter.log, 'the server must not panic').not.toMatch(PANIC);
  },

  provokes: async ({}, use) => {
    const patterns: RegExp[] = [];
    errors.length = 0;
    await use((error) => void patterns.push(error));
    const surprises = errors.filter((error) => !patterns.some((pattern) => pattern.test(error)));
    expect(surprises, 'errors on the pages of this test').toEqual([]);
  },

  visitor: async ({ browser, natter, provokes: _watching }, use) => {
    const contexts: BrowserContext[] = [];
    await use(async (options) => {
      const context = await watched(browser, { baseURL: natter.url, ...options });
      contexts.push(context);
      return context.newPage();
    });
    await Promise.all(contexts.map((context) => context.close()));
  },

  again: async ({ visitor }, use) => {
    await use(async (name, options) => {
      const page = await visitor(options);
      await signIn(page, name);
      const chat = new Chat(page, name);
      await chat.open();
      return chat;
    });
  },

  person: async ({ natter, again }, use) => {
    await use(async (name, options) => {
      await register(natter.url, name);
      return again(name, options);
    });
  },
});

// A worker runs one test at a time, so one list is enough.
const errors: string[] = [];

/** Opens a browser whose errors count for this test. */
export async function watched(browser: Browser, options: BrowserContextOptions): Promise<BrowserContext> {
  const context = await browser.newContext(options);
  context.on('console', (message) => {
    // Violations of the content security policy are among the errors.
    if (message.type() === 'error') errors.push(`${message.text()} (${message.location().url})`);
  });
  context.on('weberror', (error) => errors.push(error.error().stack || String(error.error())));
  return context;
}

/** The server closes a connection that is idle for 5 s, perhaps just as a request goes out: so none is reused. */
const ONCE = { Connection: 'close' };

/**
 * Retries until the request gets its turn. Passwords have the lowest priority, and a busy machine may answer 503 after
 * the 2 s that it lets a request wait.
 */
async function inTurn(ask: () => Promise<{ status: number; words: string }>): Promise<void> {
  const end = Date.now() + 90_000;
  let answer = await ask();
  while (answer.status === 503 && Date.now() < end) answer = await ask();
  expect(answer.status, answer.words).toBe(200);
}

/** Registers somebody as a program would. */
export async function register(url: string, name: string): Promise<void> {
  await inTurn(async () => {
    const answer = await fetch(`${url}/api/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...ONCE },
      body: JSON.stringify({ Username: name, Password: PASSWORD }),
    });
    return { status: answer.status, words: await answer.text() };
  });
}

/** Signs a browser in without its pages: the cookie is shared with all of them. */
export async function signIn(page: Page, name: string): Promise<void> {
  await inTurn(async () => {
    const data = { Username: name, Password: PASSWORD };
    const answer = await page.request.post('/api/login', { data, headers: ONCE });
    return { status: answer.status(), words: await answer.text() };
  });
}

/** Ends a browser's login without its pages. */
export async function signOut(page: Page): Promise<void> {
  const answer = await page.request.post('/api/logout', { data: {}, headers: ONCE });
  expect(answer.status(), await answer.text()).toBe(200);
}

/** Waits until the page has taken over from the server's HTML. */
export async function hydrated(page: Page): Promise<void> {
  await expect(page.locator('body[data-hydrated]')).toBeAttached();
}

/** Withholds the WASM from every page in this browser until the returned function is called. */
export async function holdWasm(page: Page): Promise<() => void> {
  let release!: () => void;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.context().route(/\.wasm(\?|$)/, async (route) => {
    await released;
    await route.continue().catch(() => undefined); // The page that asked may be gone by now.
  });
  return release;
}

/** Lets two people find each other, and leaves both in their conversation. Returns its SessionID. */
export async function connect(one: Chat, other: Chat): Promise<string> {
  await one.invite(other.name);
  await other.accept(one.name);
  const session = await other.session();
  await one.openConversation(other.name);
  return session;
}
