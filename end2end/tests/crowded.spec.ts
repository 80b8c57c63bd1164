// More tabs and devices than a user may have open at a time.

import { expect, test } from '../support/test';

test.use({ settings: ['--sockets-per-user', '2'] });

test('a tab too many says so, and comes by itself when another one is closed', async ({ person, again }) => {
  const ada = await person('Ada');
  await ada.welcomed();
  const other = await again('Ada');
  await other.welcomed();
  const third = await again('Ada');
  await expect(third.connectionLost).toContainText('Natter is open in too many tabs or devices.');
  await third.connectionLost.getByRole('button', { name: 'Try now' }).click();
  await expect(third.connectionLost).toContainText('too many tabs');
  await other.page.context().close();
  await expect(third.connectionLost).toBeHidden({ timeout: 60_000 });
  await third.welcomed();
});
