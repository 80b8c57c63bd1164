// Bad luck: a server that stops, a line that breaks, answers that never arrive.

import { Chat } from '../pages/chat';
import { connect, expect, hydrated, signIn, signOut, test } from '../support/test';
import { Cable } from '../support/cable';
import { Line } from '../support/line';

/** A notice comes 5 s after the moment at which a Drain asked the page to reconnect, at most 4.5 s after the Drain. */
const NOTICED = { timeout: 20_000 };

const NO_SERVER = /WebSocket connection to .* failed|Failed to load resource: net::ERR_/;

/** Checks that both show the same messages in the same order, each once and each sent. */
async function agree(one: Chat, other: Chat, texts: string[]): Promise<void> {
  for (const chat of [one, other]) {
    await expect(chat.rows).toHaveCount(texts.length, { timeout: 30_000 });
    await expect(chat.messages.locator('li[data-mid]:not([data-state=sent])')).toHaveCount(0, { timeout: 30_000 });
  }
  const order = await one.texts();
  expect([...order].sort()).toEqual([...texts].sort());
  expect(await other.texts()).toEqual(order);
}

/** Starts recording when the page shows a lost connection, however briefly. Returns a getter of the times so far. */
async function watchForComplaints(chat: Chat): Promise<() => Promise<number[]>> {
  const noted = await chat.page.evaluateHandle(() => {
    const noted: number[] = [];
    let shown = false;
    new MutationObserver(() => {
      const shows = document.querySelector('[data-connection=lost]') !== null;
      if (shows && !shown) noted.push(Date.now());
      shown = shows;
    }).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-connection'] });
    return noted;
  });
  return () => noted.jsonValue();
}

/** Starts recording how long after a click the page tries to connect. Returns a getter of the delays so far. */
async function watchForHaste(chat: Chat): Promise<() => Promise<number[]>> {
  const noted = await chat.page.evaluateHandle(() => {
    const noted: number[] = [];
    let clicked: number | undefined;
    let last: WebSocket | undefined;
    const tries = () => {
      if (clicked !== undefined) noted.push(performance.now() - clicked);
      clicked = undefined;
    };
    window.WebSocket = class extends WebSocket {
      constructor(...how: ConstructorParameters<typeof WebSocket>) {
        super(...how);
        last = this;
        tries();
      }
    };
    const click = () => {
      clicked = performance.now();
      if (last?.readyState === WebSocket.CONNECTING) tries();
    };
    document.addEventListener('click', click, { capture: true });
    return noted;
  });
  return () => noted.jsonValue();
}

test('a server that is away for 8 s: both pages catch up by themselves', async ({ natter, person, provokes }) => {
  provokes(NO_SERVER);
  const ada = await person('Ada');
  const ben = await person('Ben');
  const cleo = await person('Cleo');
  await connect(ada, cleo);
  await connect(ada, ben);
  await ada.send('before');
  await expect(ben.row('before')).toBeVisible();
  const composer = await ada.composer.boundingBox();

  const stops = Date.now();
  await natter.stop();
  const stopped = Date.now();
  await ada.type('from Ada, meanwhile');
  await ben.type('from Ben, meanwhile');
  await ada.composer.fill('a draft');
  await expect(ada.row('from Ada, meanwhile')).toHaveAttribute('data-state', 'pending');
  await expect(ada.connectionLost).toBeVisible(NOTICED);
  expect(Date.now() - stops, 'a short break is not worth a word').toBeGreaterThan(5_000);
  await expect(ada.connectionLost).toHaveAttribute('role', 'status');
  expect(await ada.composer.boundingBox(), 'the notice moves nothing').toEqual(composer);
  await expect.poll(() => Date.now() - stopped, { timeout: 15_000 }).toBeGreaterThan(8_000);
  await natter.start();

  await expect(ada.connectionLost).toBeHidden({ timeout: 35_000 });
  await agree(ada, ben, ['before', 'from Ada, meanwhile', 'from Ben, meanwhile']);
  await expect(ada.composer).toHaveValue('a draft');
  await ada.composer.press('Enter');
  await expect(ben.row('a draft')).toBeVisible();
  await ada.openConversation('Cleo');
  await ada.send('elsewhere too');
  await Promise.all([ada.reload(), ben.reload()]);
  await ada.openConversation('Ben');
  await agree(ada, ben, ['before', 'from Ada, meanwhile', 'from Ben, meanwhile', 'a draft']);
});

test('what waits to be sent outlasts a reload of the page', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  line.onSaid((frame) => frame.type !== 'Message');
  await ada.type('one');
  await ada.type('two');
  await expect(ada.row('two')).toHaveAttribute('data-state', 'pending');
  const before = line.said.length;
  await ada.reload();
  await expect(ada.rows).toHaveCount(2);
  // The reloaded page sends both, and both are lost again.
  const again = () => line.said.slice(before).filter(({ type }) => type === 'Message').length;
  await expect.poll(again).toBe(2);
  await expect(ada.messages.locator('li[data-state=pending]')).toHaveCount(2);
  line.onSaid(() => true);
  await line.cut();
  await agree(ada, ben, ['one', 'two']);
  expect(await ben.texts()).toEqual(['one', 'two']);
});

test('what a closed tab has not sent, the other one sends', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  const other = new Chat(await ada.page.context().newPage(), 'Ada');
  await other.open(`/chat/${session}`);
  const [line, otherLine] = [await Line.tap(ada), await Line.tap(other)];
  await line.unplug();
  await ada.type('from the tab that is closed');
  await expect(ada.row('from the tab that is closed')).toHaveAttribute('data-state', 'pending');
  const isKept = () => other.page.evaluate(() => Object.keys(localStorage).some((key) => key.includes('/unsent/')));
  await expect.poll(isKept, 'the other tab can see it').toBe(true);
  await ada.page.close();
  await otherLine.cut();
  await expect(ben.row('from the tab that is closed')).toBeVisible({ timeout: 20_000 });
  await other.send('from the other one');
  await agree(other, ben, ['from the tab that is closed', 'from the other one']);
});

test('what waits to be sent is never sent by somebody else who signs in', async ({ person, again, provokes }) => {
  // A check of the login may fall between the end of one and the start of the next.
  provokes(/the server responded with a status of 401/);
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  const line = await Line.tap(ada);
  await line.unplug();
  await ada.type('my own words');
  await expect(ada.row('my own words')).toHaveAttribute('data-state', 'pending');
  await ada.composer.fill('a draft');

  // In another tab of the same browser.
  await signIn(ada.page, 'Ben');
  line.plug();
  await expect(ada.entry('Ada'), 'the page is the one of who is signed in').toBeVisible({ timeout: 60_000 });
  await hydrated(ada.page);
  await expect(ada.composer).toHaveValue('');
  await ada.send('Ben was here');
  expect(await ada.texts()).toEqual(['Ben was here']);

  await ada.page.goto('about:blank');
  await signIn(ada.page, 'Ada');
  await ada.open(`/chat/${session}`);
  await agree(ada, ben, ['Ben was here', 'my own words']);
  await expect(ada.composer).toHaveValue('a draft');
  const seen = await again('Ben');
  await seen.openConversation('Ada');
  await expect(seen.row('my own words')).not.toHaveAttribute('data-own');
});

test('a login that ended unnoticed is noticed later, also when the first look fails', async ({ person, provokes }) => {
  test.slow(); // three failures separate one check from the next
  provokes(/Failed to load resource|the server responded with a status of 401/);
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  // The first check is lost in transit.
  let looks = 0;
  await ada.page.route(/\/api\/history/, (route) => (++looks === 1 ? route.abort() : route.continue()));
  await line.unplug();
  await signOut(ada.page);
  await expect(async () => {
    // It waits longer each time, but not when the network comes back.
    await ada.page.evaluate(() => dispatchEvent(new Event('online')));
    await expect(ada.page.getByLabel('Password')).toBeVisible({ timeout: 2_000 });
  }).toPass({ timeout: 120_000 });
  expect(looks).toBeGreaterThan(1);
});

test('when too much came at once, a search under way is not waited for', async ({ person }) => {
  const ada = await person('Ada');
  await person('Ben');
  const line = await Line.tap(ada);
  line.onHeard((frame) => frame.type !== 'Search');
  line.onSaid((frame) => frame.type !== 'Hello' || line.said.filter(({ type }) => type === 'Hello').length === 1);
  await ada.searchFor('Ben');
  await expect.poll(() => line.said.some(({ type }) => type === 'Search')).toBe(true);
  line.tell({ type: 'Lagged' });
  await expect(ada.answer).toContainText('Please search again');
  line.onHeard(() => true);
  line.onSaid(() => true);
  await line.cut();
  await ada.searchFor('Nobody');
  await expect(ada.answer).toContainText('There is no user “Nobody”');
});

test('a message whose answer is lost is there once, however often it is sent', async ({ natter, person, provokes }) => {
  provokes(NO_SERVER);
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  line.onHeard((frame) => frame.type !== 'Ack');
  await ada.type('once');
  await expect(ben.row('once')).toBeVisible();
  await expect(ada.row('once')).toHaveAttribute('data-state', 'pending');
  const connections = line.connected.length;
  await line.cut();
  await expect.poll(() => line.connected.length, { timeout: 20_000 }).toBeGreaterThan(connections);
  // Across a restart the server still knows it.
  await natter.kill();
  line.onHeard(() => true);
  const started = natter.start();
  line.connectAfter(started);
  await started;
  await agree(ada, ben, ['once']);
});

test('a restart of the server is not worth a word: the page comes back when it was told to', async ({ natter, person, provokes }) => {
  provokes(NO_SERVER);
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  await ada.send('before');
  const line = await Line.tap(ada);
  const told: { afterMs: number; at: number }[] = [];
  line.onHeard((frame) => {
    if (frame.type === 'Drain') told.push({ afterMs: Number(frame.AfterMs), at: Date.now() });
    return true;
  });
  const complaints = await watchForComplaints(ada);
  const stops = Date.now();
  const restart = natter.stop().then(() => natter.start());
  line.connectAfter(restart);
  await restart;
  const isShort = Date.now() - stops < 5_000;
  await ada.type('meanwhile');
  await expect.poll(() => line.connected.length, { timeout: 15_000 }).toBeGreaterThan(1);
  const back = line.connected[1]!;
  expect(told).toHaveLength(1);
  // Clocks and timers are rounded.
  for (const { afterMs, at } of told) expect(back - at, 'not before its time').toBeGreaterThanOrEqual(afterMs - 5);
  await expect(ben.row('meanwhile')).toBeVisible({ timeout: 15_000 });
  await agree(ada, ben, ['before', 'meanwhile']);
  if (isShort) expect(await complaints(), 'nothing was shown').toEqual([]);
});

test('kill -9 leaves nobody online who is not', async ({ natter, person, provokes }) => {
  provokes(NO_SERVER);
  const ada = await person('Ada');
  const ben = await person('Ben');
  const cleo = await person('Cleo');
  await connect(cleo, ada);
  await connect(ada, ben);
  await ada.send('acknowledged');
  await expect(ada.presence('Ben')).toHaveAttribute('data-status', 'Online');
  await natter.kill();
  await ben.page.context().close();
  await natter.start();
  // Until the page has reconnected, it shows the old state.
  await expect(ada.presence('Ben')).toHaveAttribute('data-status', 'Offline', { timeout: 40_000 });
  await expect(ada.presence('Cleo')).toHaveAttribute('data-status', 'Online', { timeout: 40_000 });
  await expect(ada.row('acknowledged')).toHaveCount(1);
  await ada.send('and on it goes');
});

test('a short break is not worth a word; "Try now" does not wait', async ({ natter, person, provokes }) => {
  provokes(NO_SERVER);
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  const complaints = await watchForComplaints(ada);
  await line.cut();
  await expect.poll(() => line.connected.length).toBeGreaterThan(1);
  await ada.send('back already');
  expect(await complaints()).toEqual([]);

  const haste = await watchForHaste(ben);
  const stops = Date.now();
  await natter.stop();
  await expect(ada.connectionLost).toBeVisible(NOTICED);
  await expect(ben.connectionLost).toBeVisible(NOTICED);
  await ben.connectionLost.getByRole('button', { name: 'Try now' }).click();
  await expect.poll(haste).toHaveLength(1);
  expect((await haste())[0]).toBeLessThan(1_000);
  await natter.start();
  await expect(ada.connectionLost).toBeHidden({ timeout: 40_000 });
  await ada.send('back again');
  await expect(ben.row('back again')).toBeVisible({ timeout: 40_000 });
  // The short break has had more than its 5 s by now, so this belongs to the long one.
  const shown = await complaints();
  expect(shown).toHaveLength(1);
  expect(shown[0]! - stops).toBeGreaterThan(5_000);
});

test('"Try now" while an attempt is under way: when that fails, the next one does not wait', async ({ natter, person, provokes }) => {
  provokes(NO_SERVER);
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  const cable = await Cable.to(natter);
  await ada.open(`${cable.url}/chat/${session}`);
  await ada.send('before');
  cable.pull();
  await expect(ada.connectionLost).toBeVisible(NOTICED);
  const before = cable.upgrades.length;
  cable.silence();
  await expect.poll(() => cable.upgrades.length, { timeout: 30_000 }).toBe(before + 1);
  await ada.connectionLost.getByRole('button', { name: 'Try now' }).click();
  const failed = Date.now();
  cable.plug();
  await expect.poll(() => cable.upgrades.length, { timeout: 30_000 }).toBe(before + 2);
  expect(cable.upgrades.at(-1)! - failed).toBeLessThan(1_000);
  await ada.send('after');
  await expect(ben.row('after')).toBeVisible();
  cable.remove();
});

test('a busy conversation meanwhile arrives whole and in order', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  const line = await Line.tap(ada);
  await ben.send('before');
  await expect(ada.row('before')).toBeVisible();
  // Ada receives none of it: her line is dead and does not know it yet.
  line.onHeard(() => false);
  const texts = Array.from({ length: 250 }, (_, index) => `line ${index + 1}`);
  await ben.flood(session, texts);
  line.onHeard(() => true);
  await line.cut();
  await ben.send('after');
  await expect(ada.row('after')).toBeInViewport({ timeout: 20_000 });
  await expect(ada.row('line 250')).toHaveCount(1);
  const seen = await ada.texts();
  const expected = ['before', ...texts, 'after'];
  expect(seen).toEqual(expected.slice(-seen.length));
});

test('on a slow line the page waits for a large answer, and does not begin again and again', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  await connect(ada, ben);
  await ada.page.clock.install();
  const line = await Line.tap(ada);
  const welcomed = () => line.heard.filter(({ type }) => type === 'Welcome').length;
  line.delay();
  await line.cut();
  await ada.page.evaluate(() => window.dispatchEvent(new Event('online')));
  await expect.poll(welcomed).toBe(2);
  const sockets = line.connected.length;
  await ada.page.clock.fastForward(60_000);
  line.deliver();
  await ada.send('it was worth it');
  await expect(ben.row('it was worth it')).toBeVisible();
  expect(line.connected.length).toBe(sockets);
});
