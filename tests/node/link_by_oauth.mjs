// A person in a browser links profiles by the approval pages of the sandbox, and says what they see, a line each.

import { launch } from './browser.mjs';

const { URL: server } = process.env;

const browser = await launch();
try {
  const page = await browser.newPage();
  const failures = [];
  page.on('pageerror', (error) => failures.push(error.message));

  await page.goto(`${server}/dev/sign-in?then=link`);
  console.log(await page.locator('#who', { hasText: 'Demo' }).textContent());
  await page.getByRole('button', { name: 'Link Facebook' }).click();

  await page.waitForURL('**/sandbox/facebook/authorize?**');
  const profiles = page.locator('#profiles button strong');
  await profiles.first().waitFor();
  console.log(JSON.stringify(await profiles.allTextContents()));
  console.log(`images: ${await page.locator('img').count()}`);
  console.log(`goes back to ${await page.locator('#destination').textContent()}`);
  await page.getByRole('button', { name: 'Ada Lovelace' }).click();

  console.log(await page.locator('#result:visible').textContent());
  console.log(`address: ${page.url().replace(server, '')}`);
  const facebook = page.locator('#profiles li', { hasText: 'Facebook' });
  console.log(await facebook.textContent());

  await page.getByRole('button', { name: 'Link Instagram' }).click();
  await page.getByRole('button', { name: 'Deny' }).click();
  console.log(await page.locator('#problem:visible').textContent());

  await page.reload();
  console.log(await facebook.textContent());
  console.log(`errors: ${JSON.stringify(failures)}`);
} finally {
  await browser.close();
}
