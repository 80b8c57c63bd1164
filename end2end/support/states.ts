// Every page and state, once, for checks that must hold in all of them.

import type { BrowserContextOptions, Page } from '@playwright/test';

import type { Chat } from '../pages/chat';
import { Line } from './line';
import { Natter } from './natter';
import { PASSWORD, connect, expect, holdWasm, hydrated, register, signIn } from './test';

/** What a tour needs from a test. */
interface World {
  natter: Natter;
  visitor: (options?: BrowserContextOptions) => Promise<Page>;
  person: (name: string, options?: BrowserContextOptions) => Promise<Chat>;
  again: (name: string, options?: BrowserContextOptions) => Promise<Chat>;
  provokes: (error: RegExp) => void;
}

/** Checks a page in one of its states. Must not change it. */
type Look = (page: Page, what: string) => Promise<void>;

/** A name that the browser resolves to this address (playwright.config.ts), and that no server accepts. */
const ELSEWHERE = { name: 'elsewhere.example.org', address: '127.0.0.9' };

const LONG = 'Wolfeschlegelsteinhausenbergerdo';

/** Visits all of them. */
export async function tour(world: World, options: BrowserContextOptions, look: Look): Promise<void> {
  // A browser does not trust a name without https, and says so about the page that is refused there.
  world.provokes(/Cross-Origin-Opener-Policy header has been ignored|status of 4|Failed to (load resource|fetch)|ERR_FAILED|TypeError|RuntimeError|WebSocket connection/);
  await doors(world, options, look);
  await list(world, options, look);
  await conversation(world, options, look);
}

async function doors({ natter, visitor }: World, options: BrowserContextOptions, look: Look): Promise<void> {
  const page = await visitor(options);
  const visit = async (url: string) => {
    await page.goto(url);
    await hydrated(page);
    await look(page, url);
  };
  const refused = async (path: string, button: string, name: string, password: string) => {
    await page.goto(path);
    await hydrated(page);
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: button }).click();
    await expect(page.getByRole('alert')).not.toBeEmpty();
    await look(page, `${path}, refused to ${name}`);
  };
  await visit('/');
  await visit('/login');
  await register(natter.url, LONG);
  await refused('/login', 'Sign in', 'Nobody', PASSWORD);
  await refused('/login', 'Sign in', LONG, 'not the password');
  await visit('/login?Registered=1&Username=Ada');
  await visit('/login?SignedIn=1&Username=Ada');
  await visit('/register');
  await refused('/register', 'Create account', LONG, 'another horse');
  await refused('/register', 'Create account', 'no name', PASSWORD);
  await refused('/register', 'Create account', 'Gustav', 'short');
  await visit('/no/such/page');
  await page.goto('/about'); // has no scripts, so nothing hydrates it
  await look(page, '/about');

  const closed = await Natter.start(['--limits', 'off', '--registration', 'closed'], new URL(natter.url).hostname);
  for (const path of ['/', '/login', '/register']) await visit(`${closed.url}${path}`);
  await page.goto(`${closed.url}/about`);
  await look(page, '/about, closed');
  await closed.dispose();

  const strange = await Natter.start(['--limits', 'off'], ELSEWHERE.address);
  await page.goto(strange.url.replace(ELSEWHERE.address, ELSEWHERE.name));
  await expect(page.getByText('--also-host')).toBeVisible();
  await look(page, 'a name that the server does not go by');
  await strange.dispose();

  const dead = await visitor(options);
  await dead.route(/natter\.wasm/, (route) => route.abort());
  await dead.goto('/login');
  await expect(dead.locator('.watchdog')).toBeVisible();
  await look(dead, 'a door that could not start');
  await page.context().close();
  await dead.context().close();
}

/** The list and everything above it. */
async function list({ natter, visitor, person, again }: World, options: BrowserContextOptions, look: Look): Promise<void> {
  const eve = await person('Eve', options);
  await look(eve.page, 'the chat, empty');
  await eve.searchFor('Nobody');
  await expect(eve.answer).toContainText('Nobody');
  await look(eve.page, 'nobody has the name');
  await register(natter.url, 'Zoe');
  await eve.searchFor('Zoe');
  await expect(eve.answer).toContainText(/offline/i);
  await look(eve.page, 'somebody who is offline');
  const other = await again(LONG);
  await eve.invite(LONG);
  await look(eve.page, 'an invitation that waits');
  await other.invite('Eve').catch(() => undefined); // it accepts
  await expect(eve.entry(LONG)).toBeVisible();
  await look(eve.page, 'an invitation that was accepted');
  const guest = await person('Frieda');
  await guest.invite('Eve');
  await expect(eve.card('Frieda')).toBeVisible();
  await look(eve.page, 'an invitation');

  const dead = await visitor(options);
  await signIn(dead, 'Eve');
  const release = await holdWasm(dead);
  await dead.goto('/');
  await look(dead, 'the list on its way');
  release();
  await hydrated(dead);
  await dead.context().unroute(/\.wasm(\?|$)/);
  await dead.route(/natter\.wasm/, (route) => route.abort());
  await dead.reload();
  await expect(dead.locator('.watchdog')).toBeVisible();
  await look(dead, 'a list that could not start');
  for (const { page } of [eve, other, guest]) await page.context().close();
  await dead.context().close();
}

/** A conversation with everything that can be in it. */
async function conversation({ person }: World, options: BrowserContextOptions, look: Look): Promise<void> {
  const ada = await person('Ada', options);
  const [ben, cleo] = [await person('Ben'), await person('Cleo')];
  await connect(cleo, ada);
  await ada.open('/'); // a phone shows one conversation, and no invitation beside it
  const session = await connect(ben, ada);
  await look(ada.page, 'a conversation, empty');
  await change(ben, session);
  await cleo.send('elsewhere');
  const line = await Line.tap(ada);
  await expect(ada.rows.last()).toBeVisible();
  await ada.send('with an answer');
  await look(ada.page, 'a conversation');
  await ben.composer.pressSequentially('hm');
  await expect(ada.typing).toBeVisible();
  line.onSaid((frame) => {
    if (frame.type !== 'Message') return true;
    line.tell({ type: 'Refused', MessageID: frame.MessageID, Code: 'Unavailable', Reason: 'Not today.' });
    return false;
  });
  await ada.type('this fails');
  await expect(ada.row('this fails')).toHaveAttribute('data-state', 'failed');
  line.onSaid((frame) => frame.type !== 'Message');
  await ada.type('this waits');
  await expect(ada.row('this waits')).toHaveAttribute('data-state', 'pending');
  await ada.composer.fill(Array.from({ length: 9 }, (_, index) => `line ${index}`).join('\n'));
  await look(ada.page, 'a conversation with a draft, one that waits and one that failed');
  await ada.composer.fill('');
  await ben.flood(session, Array.from({ length: 30 }, (_, index) => `and more ${index}`));
  await expect(ada.row('and more 29')).toBeAttached();
  await ada.history.evaluate((history) => (history.scrollTop = 0));
  await expect(ada.jump).toBeVisible();
  await look(ada.page, 'a conversation, scrolled up');
  await line.unplug();
  await expect(ada.connectionLost).toBeVisible({ timeout: 20_000 });
  await look(ada.page, 'without a connection');
  await ada.page.evaluate(() => void Promise.reject(new WebAssembly.RuntimeError('unreachable')));
  await expect(ada.page.locator('.watchdog')).toBeVisible();
  await look(ada.page, 'a page that died');
  await ada.page.goto('/chat/00000000-0000-7000-8000-000000000000');
  await hydrated(ada.page);
  await look(ada.page, 'a conversation that is not there');
  for (const { page } of [ada, ben, cleo]) await page.context().close();
}

/** Sends messages of every kind, edits one and deletes another: as a program, since the page cannot yet. */
async function change(ben: Chat, session: string): Promise<void> {
  await ben.flood(session, [
    'plain',
    'He answered:\nשלום לך!\nand left.',
    `${'x'.repeat(300)} https://chat.example.org/${'long/'.repeat(40)}`,
    `stacked e${'\u0301\u0323'.repeat(20)}`,
  ]);
  await ben.page.evaluate(
    (session) =>
      new Promise<void>((done, failed) => {
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`);
        const say = (frame: object) => socket.send(JSON.stringify(frame));
        const [edited, deleted] = [crypto.randomUUID(), crypto.randomUUID()];
        let changed = 0;
        socket.onopen = () => {
          say({ type: 'Hello', Sessions: {} });
          for (const MessageID of [edited, deleted]) say({ type: 'Message', SessionID: session, MessageID, Data: 'to be changed' });
        };
        socket.onmessage = ({ data }) => {
          const frame = JSON.parse(data);
          if (frame.type === 'Refused') failed(new Error(frame.Reason));
          if (frame.type === 'Ack' && frame.MessageID === deleted) {
            say({ type: 'Edit', SessionID: session, MessageID: edited, Data: 'changed' });
            say({ type: 'Delete', SessionID: session, MessageID: deleted });
          }
          if (frame.type === 'Message' && (frame.EditedAt || frame.DeletedAt) && ++changed === 2) {
            socket.close();
            done();
          }
        };
      }),
    session,
  );
}
