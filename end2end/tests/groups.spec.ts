// Groups, as far as the page knows them: programs begin and change them.

import { expect, test } from '../support/test';
import { Line } from '../support/line';
import { beginGroup, program } from '../support/program';

for (const viewport of [{ width: 1280, height: 800 }, { width: 390, height: 844 }]) {
  test(`what was written in a group that its writer is not in any more is theirs until they delete it, ${viewport.width} wide`, async ({ person }) => {
    const [ada, cleo] = [await person('Ada', { viewport }), await person('Cleo')];
    const group = await beginGroup(cleo, 'Walks', ['Ada']);
    await ada.card('Cleo').getByRole('button', { name: 'Accept' }).click();
    await expect(ada.page.locator('.conversation-head h1')).toHaveText('Walks');
    await ada.send('hello');
    const line = await Line.tap(ada);
    const me = line.heard.find(({ type }) => type === 'Welcome')!.UserID;
    await line.unplug();
    await ada.type('too late');
    await expect(ada.row('too late')).toContainText('Not sent yet.');
    await program(cleo, [{ type: 'Remove', SessionID: group, UserID: me }], [{ type: 'Session', SessionID: group }]);
    await line.back(ada);
    const returned = ada.page.getByRole('region', { name: 'Not sent' });
    await expect(returned.getByRole('article')).toHaveText(/You are not in this conversation any more.*too late/);
    await expect(returned.getByText('too late', { exact: true })).toBeInViewport();
    await expect(ada.entry('Walks')).toHaveCount(0);

    await ada.open('/');
    await expect(returned.getByText('too late', { exact: true })).toBeVisible();
    await returned.getByRole('button', { name: 'Delete' }).click();
    await expect(returned.getByRole('article')).toHaveCount(0);
    await ada.reload();
    await ada.welcomed();
    await expect(returned.getByRole('article')).toHaveCount(0);
  });
}

test('whoever is back in a group reads on where they left, and sees what was said before', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  const group = await beginGroup(cleo, 'Walks', ['Ada', 'Ben']);
  for (const guest of [ada, ben]) await guest.card('Cleo').getByRole('button', { name: 'Accept' }).click();
  for (const guest of [ada, ben]) expect(await guest.session()).toBe(group);
  await ben.send('while she is there');
  await expect(ada.row('while she is there')).toBeVisible();
  await program(ada, [{ type: 'Leave', SessionID: group }], [{ type: 'Left', SessionID: group }]);
  await expect(ada.entry('Walks')).toHaveCount(0);
  await ben.send('while she is out');
  await program(cleo, [{ type: 'Search', Username: 'Ada', SessionID: group }], [{ type: 'Search', Status: 'Pending' }]);
  await ada.card('Cleo').getByRole('button', { name: 'Accept' }).click();
  await expect(ada.entry('Walks')).toHaveCount(1);
  await ben.send('back again');
  await expect.poll(() => ada.texts()).toEqual(['while she is there', 'back again']);
  await ada.reload();
  expect(await ada.texts()).toEqual(['while she is there', 'back again']);
});
