import { existsSync } from 'node:fs';

import { defineConfig } from '@playwright/test';

// Natter's tests as people: real browsers against the release binary. `make e2e` runs them.
//
// Every test has its own server with its own data folder (support/test.ts), so tests share nothing and any of
// them can be run alone: `make e2e ARGS="talk.spec.ts -g draft"`.

const root = process.getuid?.() === 0;

/** Where Debian's packages put Chromium: without its windows, which is much quicker, or whole. */
const INSTALLED = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'];

export default defineConfig({
  testDir: '.',
  testMatch: process.env.SCREENSHOTS ? 'screenshots.spec.ts' : 'tests/**/*.spec.ts',
  forbidOnly: !!process.env.CI,
  fullyParallel: true,
  workers: 2,
  retries: 0,
  // A busy machine takes its time: this ends what hangs, and says nothing of speed.
  timeout: 180_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
  use: {
    actionTimeout: 10_000,
    navigationTimeout: 20_000,
    // A trace of every test doubles their time. `--trace on` makes one of those that are looked at.
    screenshot: 'only-on-failure',
    locale: 'en-GB',
    launchOptions: {
      executablePath: process.env.CHROMIUM || INSTALLED.find(existsSync),
      args: [
        // Chromium refuses to start its sandbox as root.
        ...(root ? ['--no-sandbox'] : []),
        // For support/states.ts: a name under which a server is found that does not know it.
        '--host-resolver-rules=MAP elsewhere.example.org 127.0.0.9',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--disable-dev-shm-usage',
      ],
    },
  },
});
