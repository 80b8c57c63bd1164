// Answers to searches and invitations: every answer finds its question, even in words that the page does not know yet,
// and nothing waits forever.

import type { Chat } from '../pages/chat';
import { Line } from '../support/line';
import { beginGroup } from '../support/program';
import { connect, expect, test } from '../support/test';

const busy = (chat: Chat) => chat.page.evaluate(() => document.querySelector('.search button')!.matches('.busy, [aria-busy=true]'));

test('searching for somebody who has invited one opens the conversation, and the next search works', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  await ben.invite('Ada');
  await expect(ada.card('Ben')).toBeVisible();
  await ada.searchFor('Ben');
  await expect(ada.entry('Ben')).toHaveAttribute('aria-current', 'page');
  await expect(ada.composer).toBeFocused();
  await ada.searchFor('Nobody');
  await expect(ada.answer).toContainText('Nobody');
});

test('news of an older invitation, or of another tab\'s search, ends no search', async ({ person, again }) => {
  const [ada, ben, cleo, dan] = [await person('Ada'), await person('Ben'), await person('Cleo'), await person('Dan')];
  const adaToo = await again('Ada');
  const line = await Line.tap(ada);
  await ada.invite('Ben');
  await expect(ben.card('Ada')).toBeVisible();
  line.hold();
  await ada.searchFor('Cleo');
  await expect.poll(() => busy(ada)).toBe(true);
  await ben.card('Ada').getByRole('button', { name: 'Reject' }).click();
  await expect(ada.page.getByText('Ben does not want to talk now.')).toBeVisible();
  await adaToo.invite('Dan');
  await expect(ada.waiting('Dan')).toBeVisible();
  expect(await busy(ada), 'Cleo is still looked for').toBe(true);
  line.release();
  await expect(ada.answer).toContainText('Your invitation is with Cleo.');
  await expect.poll(() => busy(ada)).toBe(false);
  await expect(cleo.card('Ada')).toBeVisible();
  await expect(dan.card('Ada')).toBeVisible();
});

test('the answer to a search finds it however the name was written', async ({ person }) => {
  const [ada] = [await person('Ada'), await person('Straßer')];
  await ada.searchFor('STRASSER'.replace('SS', 'ß'));
  await expect(ada.answer).toContainText(/Your invitation is with \u2068?Straßer\u2069?\./);
  await expect.poll(() => busy(ada)).toBe(false);
  // As copied from that sentence.
  await ada.searchFor('\u2068Straßer\u2069');
  await expect.poll(() => busy(ada)).toBe(false);
  await expect(ada.answer).toContainText('Straßer');
});

test('a refusal is said where it was asked for, and one that answers nothing on the page is passed over', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const session = await connect(ada, ben);
  const line = await Line.tap(ada);
  const id = '0198c0de-0000-7000-8000-0000000000ff';
  const refuse = (fields: object) => line.tell({ type: 'Refused', Code: 'NotFound', Reason: 'It is not here.', ...fields });
  refuse({ SessionID: session });
  refuse({ SessionID: session, MessageID: id });
  refuse({});
  await ben.send('after them');
  await expect(ada.row('after them')).toBeVisible();
  await expect(ada.page.getByText('It is not here.')).toHaveCount(0);
  line.hold();
  await ada.searchFor('Cleo');
  refuse({ SessionID: session, MessageID: id });
  await ben.send('and this');
  await expect(ada.row('and this')).toBeVisible();
  expect(await busy(ada)).toBe(true);
  refuse({ Username: 'Cleo', Code: 'Surprise', Reason: 'Not on a Sunday.' });
  await expect(ada.answer).toContainText('Not on a Sunday.');
  await expect.poll(() => busy(ada)).toBe(false);
});

test('a page that stays open while its server learns new words shows reasons and waits for nothing', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  await connect(ada, ben);
  const line = await Line.tap(ada);
  line.onSaid((frame) => {
    if (frame.type === 'Message') {
      line.tell({ type: 'Refused', MessageID: frame.MessageID, Code: 'Asleep', Reason: 'The server sleeps.', Until: 'seven' });
    } else if (frame.type === 'Search') {
      const outcome = frame.Username ? { Username: frame.Username, Status: 'Asleep', Reason: 'Cleo sleeps.' } : { InviteID: frame.InviteID, Status: 'Dreamt' };
      line.tell({ type: 'Search', ...outcome });
    } else return true;
    return false;
  });
  line.tell({ type: 'Dream', Of: { Sheep: [1, 2] } });
  line.tell({ type: 'Status', UserID: '0198c0de-0000-7000-8000-0000000000ff', Status: 'Dreaming' });
  for (let n = 0; n < 33; n++) await ada.type(`message ${n}`);
  await expect(ada.messages.locator('li[data-state=failed]')).toHaveCount(33);
  await expect(ada.row('message 32')).toContainText('The server sleeps.');
  await ada.searchFor('Cleo');
  await expect(ada.answer).toContainText('Cleo sleeps.');
  await expect.poll(() => busy(ada)).toBe(false);
  line.tell({ type: 'Search', InviteID: '0198c0de-0000-7000-8000-0000000000fe', UserName: 'Dan' });
  await ada.card('Dan').getByRole('button', { name: 'Reject' }).click();
  await expect(ada.card('Dan')).toBeHidden();
  line.onSaid(() => true);
  await ada.send('awake');
  await expect(ben.row('awake')).toBeVisible();
});

test('an accepted invitation opens the session that it led to, and no other one with that person', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  // Cleo begins a group with both, so Ada shares a session with Ben before they talk alone.
  const group = await beginGroup(cleo, 'Three of us', ['Ada', 'Ben']);
  await ada.card('Cleo').getByRole('button', { name: 'Accept' }).click();
  await expect(ada.page.locator('.conversation-head h1')).toHaveText('Three of us');
  await ben.card('Cleo').getByRole('button', { name: 'Accept' }).click();
  await expect(ben.composer).toBeFocused();
  expect(await ben.session()).toBe(group);
  await ben.invite('Ada');
  await ada.open('/');
  await ada.accept('Ben');
  expect(await ada.session()).not.toBe(group);
  await expect(ada.page.locator('.conversation-head h1')).toHaveText('Ben');
});

test('who is not in the conversation any more is not taken for oneself', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const session = await connect(ada, ben);
  await ben.send('here');
  await expect(ada.row('here')).toBeVisible();
  const line = await Line.tap(ada);
  line.tell({
    type: 'Message',
    SessionID: session,
    MessageID: '0198c0de-0000-7000-8000-0000000000fd',
    Data: 'and gone',
    TimeStamp: Date.now(),
    Sender: '0198c0de-0000-7000-8000-0000000000fc',
    Seq: 2,
    Rev: 2,
  });
  await expect(ada.row('and gone')).toContainText('Somebody who left');
});
