// Durations are measured with a clock that nobody can set.

import { connect, expect, test } from '../support/test';
import { Line } from '../support/line';

test('a clock that is set keeps no "is typing" on the screen, and swallows none', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  await ada.page.context().addInitScript(() => {
    const now = Date.now.bind(Date);
    const page = window as unknown as { skew: number };
    page.skew = 0;
    Date.now = () => now() + page.skew;
  });
  const set = (by: number) => ada.page.evaluate((by) => ((window as unknown as { skew: number }).skew += by), by);
  await ada.reload();
  await connect(ada, ben);
  await ben.composer.press('h');
  await expect(ada.typing).toBeVisible();
  await set(-10_000);
  await expect(ada.typing).toBeHidden({ timeout: 9_000 });
  await ben.composer.fill('');
  await ada.composer.pressSequentially('first');
  await expect(ben.typing).toBeVisible();
  await set(-3_600_000);
  await expect(ben.typing).toBeHidden({ timeout: 12_000 });
  await ada.composer.pressSequentially(' and more');
  await expect(ben.typing).toBeVisible();
});

test('what is typed in one conversation and then in another is told to both', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  const withCleo = await connect(ada, cleo);
  const withBen = await connect(ada, ben);
  const line = await Line.tap(ada);
  const told = (session: string) =>
    line.said.filter((frame) => frame.type === 'Typing' && frame.SessionID === session).length;
  await ada.composer.press('a');
  await expect(ben.typing).toBeVisible();
  await ada.openConversation('Cleo');
  await ada.composer.press('b');
  await expect(cleo.typing, 'at once, though somebody else was told just now').toBeVisible();
  await ada.openConversation('Ben');
  await ada.composer.press('c');
  await ada.openConversation('Cleo');
  await ada.composer.press('d');
  // Both again, once their two seconds are over.
  await expect.poll(() => [told(withBen), told(withCleo)]).toEqual([2, 2]);
});
