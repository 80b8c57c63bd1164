// Messages written and not stored yet: every row shows its state, and offers a way on and a way back.

import { Chat } from '../pages/chat';
import { connect, expect, test } from '../support/test';
import { Line } from '../support/line';

const WAYS = ['Retry', 'Take back', 'Delete'];

const ways = (chat: Chat, text: string) => chat.row(text).getByRole('button');
const way = (chat: Chat, text: string, name: string) => chat.row(text).getByRole('button', { name });

/** The texts of the messages that the page has sent. */
const said = (line: Line) => line.said.filter(({ type }) => type === 'Message').map(({ Data }) => Data);

test('what waits to be sent is taken back into the composer, or deleted, and never goes out', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  await line.unplug();
  for (const text of ['the password is hunter2', 'delete me', 'stays']) await ada.type(text);
  await expect(ada.row('stays')).toContainText('Not sent yet.');
  await expect(ways(ada, 'the password is hunter2')).toHaveText(WAYS);

  // The browser keeps its state.
  await ada.reload();
  await expect(ways(ada, 'stays')).toHaveText(WAYS);
  await ada.composer.fill('written since');
  await way(ada, 'the password is hunter2', 'Take back').click();
  await expect(ada.composer).toHaveValue('the password is hunter2\nwritten since');
  await expect(ada.composer).toBeFocused();
  await way(ada, 'delete me', 'Delete').focus();
  await ada.page.keyboard.press('Enter');
  await expect(ada.row('delete me')).toHaveCount(0);
  await expect(ada.history, 'a place that makes sense').toBeFocused();

  await ada.reload();
  await expect(ada.composer, 'as a draft like any other').toHaveValue('the password is hunter2\nwritten since');
  expect(await ada.texts()).toEqual(['stays']);
  await way(ada, 'stays', 'Retry').click(); // before the line is back: the page may reconnect by itself at any moment
  await line.back(ada);
  await expect(ada.row('stays')).toHaveAttribute('data-state', 'sent');
  await expect(ways(ada, 'stays')).toHaveCount(0);
  await expect(ben.row('stays')).toBeVisible();
  expect(await ben.texts()).toEqual(['stays']);
});

test('by touch, too', async ({ person }) => {
  const ada = await person('Ada', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const line = await Line.tap(ada); // while the list is what a phone shows
  const ben = await person('Ben');
  await connect(ada, ben);
  await line.unplug();
  await ada.composer.fill('wrong');
  await ada.sendButton.tap();
  const box = (await way(ada, 'wrong', 'Take back').boundingBox())!;
  expect(box.height, 'a finger wide').toBeGreaterThanOrEqual(44);
  await way(ada, 'wrong', 'Take back').tap();
  await expect(ada.composer).toHaveValue('wrong');
  await expect(ada.rows).toHaveCount(0);
});

test('what another tab took back is not sent by this one', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const session = await ada.session();
  const line = await Line.tap(ada);
  const other = new Chat(await ada.page.context().newPage(), 'Ada');
  await other.open(`/chat/${session}`);
  const elsewhere = await Line.tap(other);
  await Promise.all([line.unplug(), elsewhere.unplug()]);
  await ada.type('not after all');
  await other.reload();
  await expect(ways(other, 'not after all')).toHaveText(WAYS);
  await way(ada, 'not after all', 'Delete').click();
  await expect(other.row('not after all')).toHaveCount(0);
  await Promise.all([elsewhere.back(other), line.back(ada)]);
  await other.send('later');
  await expect(ada.row('later')).toBeVisible();
  await expect(ben.row('later')).toBeVisible();
  expect(await ben.texts()).toEqual(['later']);
});

test('what went out while the connection was being lost says so, and is not taken back', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  line.onSaid(({ type }) => type !== 'Message');
  await ada.type('into the blue');
  await expect.poll(() => said(line)).toEqual(['into the blue']);
  await line.unplug();
  await expect(ada.row('into the blue')).toContainText('it may have arrived', { timeout: 20_000 });
  await expect(ways(ada, 'into the blue')).toHaveText(['Retry']);
  line.onSaid(() => true);
  await way(ada, 'into the blue', 'Retry').click(); // before the line is back, for the same reason
  await line.back(ada);
  await expect(ada.row('into the blue')).toHaveAttribute('data-state', 'sent');
  await expect(ben.row('into the blue')).toHaveCount(1);
});

test('what is refused for now says why and goes out by itself, the first alone and the rest behind it', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  const why = { type: 'Refused', Code: 'TooMany', Reason: 'No room.' };
  let after = 500;
  line.onSaid(({ type, MessageID }) => {
    if (type !== 'Message') return true;
    line.tell({ ...why, MessageID, AfterMs: after });
    return false;
  });
  await ada.type('one');
  await expect(ada.row('one')).toContainText('No room.');
  await expect(ada.row('one')).toHaveAttribute('data-state', 'pending');
  await ada.type('two');
  await expect(ways(ada, 'two'), 'it waits as well').toHaveText(WAYS);
  await expect.poll(() => said(line).length).toBeGreaterThan(2);
  expect(new Set(said(line)), 'only the first is asked for again').toEqual(new Set(['one']));
  line.onSaid(() => true);
  await expect(ada.row('two')).toHaveAttribute('data-state', 'sent');
  await expect(ben.rows).toHaveCount(2);
  expect(await ben.texts()).toEqual(['one', 'two']);

  // Once taken back, the first no longer blocks the rest: a new socket does not know about it.
  after = 60_000;
  line.onSaid(({ type, MessageID }) => {
    if (type !== 'Message') return true;
    line.tell({ ...why, MessageID, AfterMs: after });
    return false;
  });
  await ada.type('three');
  await expect(ada.row('three')).toContainText('No room.');
  await ada.type('four');
  const sockets = line.connected.length;
  line.onSaid(() => true);
  await way(ada, 'three', 'Take back').click();
  await expect(ada.row('four')).toHaveAttribute('data-state', 'sent');
  expect(line.connected.length).toBe(sockets + 1);
  await expect(ada.composer).toHaveValue('three');
  await expect(ben.row('four')).toBeVisible();
  expect(await ben.texts()).toEqual(['one', 'two', 'four']);
});

test('what is taken back while it is asked for again is taken back, whatever else is, and wherever its writer is by then', async ({ person }) => {
  const ada = await person('Ada');
  const [ben, cleo] = [await person('Ben'), await person('Cleo')];
  await connect(ada, cleo);
  await connect(ada, ben);
  const line = await Line.tap(ada);
  const why = { type: 'Refused', Code: 'TooMany', Reason: 'No room.', AfterMs: 300 };
  let asked: unknown;
  line.onSaid(({ type, MessageID }) => {
    if (type !== 'Message') return true;
    if (said(line).length === 1) line.tell({ ...why, MessageID });
    else asked = MessageID;
    return false;
  });
  await ada.type('first');
  await expect(ada.row('first')).toContainText('No room.');
  await ada.type('second');
  await expect.poll(() => said(line), 'asked for again').toEqual(['first', 'first']);
  await way(ada, 'first', 'Take back').click();
  await way(ada, 'second', 'Delete').click();
  await expect(ada.row('second')).toHaveCount(0);
  await ada.openConversation('Cleo');
  line.onSaid(() => true);
  line.tell({ ...why, MessageID: asked });
  await expect(ada.entry('Ben')).not.toContainText('first');
  await ada.reload();
  await ada.openConversation('Ben');
  await expect(ada.composer).toHaveValue('first');
  await expect(ada.rows).toHaveCount(0);
  await expect(ben.rows).toHaveCount(0);
});

test('what waits goes out in the order in which it was written, whatever happens to the clock', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await ada.page.context().addInitScript(() => {
    const now = Date.now.bind(Date);
    Date.now = () => now() + Number(localStorage.getItem('skew') ?? 0);
  });
  await connect(ada, ben);
  const line = await Line.tap(ada);
  await line.unplug();
  await ada.type('one');
  await ada.page.evaluate(() => localStorage.setItem('skew', String(-3_600_000)));
  await ada.reload();
  await ada.type('two');
  await ada.reload();
  await expect(ada.row('two')).toBeVisible();
  expect(await ada.texts()).toEqual(['one', 'two']);
  await line.back(ada);
  await expect(ben.row('two')).toBeVisible();
  expect(await ben.texts()).toEqual(['one', 'two']);
});
