// Takes the README's screenshots: `make screenshots`. Four people use a real Natter; the pictures show Ada's page.

import { resolve } from 'node:path';

import type { Chat } from './pages/chat';
import { connect, expect, test } from './support/test';

const PICTURES = resolve(__dirname, '../docs/img');
const DESK = { viewport: { width: 1120, height: 700 }, deviceScaleFactor: 2 };
const PHONE = { viewport: { width: 390, height: 760 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

test('pictures for the README', async ({ person, again }) => {
  const ada = await person('Ada', DESK);
  const ben = await person('Ben');
  const cleo = await person('Cleo');
  const dara = await person('Dara');
  await connect(cleo, ada);
  await cleo.send('The tickets are booked: two seats by the window.');
  await connect(ada, ben);
  await talk(ada, ben);
  await cleo.send('Shall I bring the map?');
  await expect(ada.unread('Cleo')).toBeVisible();
  await dara.invite('Ada');
  await expect(ada.card('Dara')).toBeVisible();
  await ben.composer.pressSequentially('I will');
  await ada.composer.fill('');
  await expect(ada.typing).toBeVisible();
  for (const colorScheme of ['light', 'dark'] as const) {
    await ada.page.emulateMedia({ colorScheme });
    await ben.composer.pressSequentially('.');
    await ada.page.screenshot({ path: `${PICTURES}/chat-${colorScheme}.png` });
  }

  const phone = await again('Ada', PHONE);
  await phone.page.screenshot({ path: `${PICTURES}/phone-list.png` });
  await phone.openConversation('Ben');
  await phone.page.screenshot({ path: `${PICTURES}/phone-conversation.png` });
});

async function talk(ada: Chat, ben: Chat): Promise<void> {
  await ben.send('Did you get as far as the harbour?');
  await ada.send('Further. The lighthouse is open on Sundays, and you can see the island from the top.');
  await ada.send('Two hundred and six steps. I counted.');
  await expect(ben.row('Two hundred and six steps. I counted.')).toBeVisible();
  await ben.send('Of course you did.');
  await ben.send('Then let us all go next week.\nThe boat leaves at ten.');
  await expect(ada.rows).toHaveCount(5);
}
