// Text in its box: each line in its own direction, nothing painted over others, nothing invisible.

import type { Locator } from '@playwright/test';

import { connect, expect, test } from '../support/test';
import type { Chat } from '../pages/chat';

/** Returns the left edges of some characters, at their first occurrence each. */
const places = (text: Locator, marks: string[]) =>
  text.evaluate((text, marks) => {
    const node = document.createTreeWalker(text, NodeFilter.SHOW_TEXT).nextNode() as Text;
    return marks.map((mark) => {
      const range = document.createRange();
      range.setStart(node, node.data.indexOf(mark));
      range.setEnd(node, node.data.indexOf(mark) + 1);
      return Math.round(range.getBoundingClientRect().left);
    });
  }, marks);

const text = (chat: Chat, words: string) => chat.rows.filter({ hasText: words }).locator('.text');

test('each line of a message finds its own direction', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  await connect(ada, ben);
  await ada.type('He answered:\nשלום לך!\nand left.');
  await ada.type('תרגום בבקשה\nWhat is this?');
  const [mark, letter] = await places(text(ben, 'He answered'), ['!', 'ש']);
  expect(mark, 'the "!" ends the Hebrew line').toBeLessThan(letter!);
  const [question, first] = await places(text(ben, 'What is this'), ['?', 'W']);
  expect(question, 'the "?" ends the English line').toBeGreaterThan(first!);
});

test('what turns the writing turns one line, and nothing beside the message', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const session = await connect(ada, ben);
  // RIGHT-TO-LEFT OVERRIDE, EMBEDDING and ISOLATE, none of them closed.
  const turns = ['\u202e', '\u202b', '\u2067'];
  await ada.flood(session, turns.map((turn, index) => `${index}: ${turn}turned ab\nnot turned ${index} xy`));
  for (const index of turns.keys()) {
    const row = ben.rows.filter({ hasText: `not turned ${index}` });
    const [x, y] = await places(row.locator('.text'), ['x', 'y']);
    expect(x, `${index}, in the next line`).toBeLessThan(y!);
  }
  // The list shows one line.
  await expect(ben.entry('Ada').locator('.line-text')).not.toContainText('not turned');
  const name = await ben.entry('Ada').locator('.line-name').boundingBox();
  const picture = await ben.entry('Ada').locator('.avatar').boundingBox();
  expect(picture!.x).toBeLessThan(name!.x);
});

test('names and previews keep their own direction', async ({ person }) => {
  const [ada, dana] = [await person('Ada'), await person('דנה')];
  await ada.invite('דנה');
  await expect(ada.answer).toContainText('\u2068דנה\u2069');
  await dana.accept('Ada');
  await ada.openConversation('דנה');
  await expect(ada.page).toHaveTitle('\u2068דנה\u2069 – Natter');
  await ada.send('מה שלומך?');
  const words = ada.entry('דנה').locator('.line-text');
  await expect(words).toHaveText('You: מה שלומך?');
  const ends = await words.evaluate((words) => {
    const range = document.createRange();
    range.selectNodeContents(words.lastChild!.nodeType === Node.TEXT_NODE ? words.lastChild! : words);
    const node = [...words.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.nodeValue!.includes('?')) as Text;
    const at = (mark: string) => {
      range.setStart(node, node.data.indexOf(mark));
      range.setEnd(node, node.data.indexOf(mark) + 1);
      return range.getBoundingClientRect().left;
    };
    return { mark: at('?'), first: at('מ') };
  });
  expect(ends.mark, 'the "?" ends the Hebrew words').toBeLessThan(ends.first);
});

test('heaps of marks paint over nothing: messages, list, field', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben', { viewport: { width: 1000, height: 700 } });
  const session = await connect(ada, ben);
  const marks = (from: number, many: number) => Array.from({ length: 40 }, (_, i) => String.fromCodePoint(from + (i % many))).join('');
  const heap = [...'hehehehe'].map((letter) => letter + marks(0x300, 20) + marks(0x316, 10)).join('');
  const words = 'The sum is 1,250 and due on Friday, please do not forget to tell the others about it in time.';
  await ben.flood(session, [words]);
  await ada.flood(session, [heap]);
  await ben.flood(session, [words]);
  await expect(ben.rows).toHaveCount(3);
  await ada.flood(session, [heap]);
  await expect(ben.rows).toHaveCount(4);
  await ben.composer.fill(heap);
  const places = { 'a message': ben.rows.nth(1).locator('.text'), 'the list': ben.entry('Ada').locator('.line-text'), 'the field': ben.composer };
  for (const [what, place] of Object.entries(places)) {
    const box = (await place.boundingBox())!;
    const around = async () => {
      const whole = { x: Math.max(0, box.x - 20), y: Math.max(0, box.y - 60), width: box.width + 40, height: box.height + 90 };
      // Everything but the place itself, which the screenshot masks.
      return (await ben.page.screenshot({ clip: whole, animations: 'disabled', caret: 'hide', mask: [place], maskColor: '#123456' })).toString('base64');
    };
    const painted = await around();
    await place.evaluate((place) => ((place as HTMLElement).style.color = 'transparent'));
    await place.evaluate((place) => ((place as HTMLElement).style.webkitTextFillColor = 'transparent'));
    expect(await around(), what).toBe(painted);
  }
});

test('what nobody can see is left out when it is sent', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  await connect(ada, ben);
  for (const [index, control] of ['\u000b', '\u000c', '\u001b[31m', '\u0000', '\u0085'].entries()) {
    await ada.composer.fill(`before${control}after ${index}`);
    await ada.composer.press('Enter');
    await expect(ben.rows).toHaveCount(index + 1);
    await expect(ben.rows.last()).toContainText(`after ${index}`);
  }
  // Characters that belong to an emoji or a word stay.
  for (const whole of ['👩‍👩‍👧‍👦', '🏴󠁧󠁢󠁥󠁮󠁧󠁿', 'می‌خواهم', '❤️']) {
    await ada.send(whole);
    await expect.poll(() => ben.rows.last().locator('.text').textContent()).toBe(whole);
  }
  // Invisible text is not sent.
  const before = await ada.rows.count();
  for (const nothing of ['\u200b', '\u3164', '\u2800', ' \u200e ', '\u001b']) {
    await ada.composer.fill(nothing);
    await ada.composer.press('Enter');
  }
  await ada.send('the end');
  await expect(ada.rows).toHaveCount(before + 1);
});
