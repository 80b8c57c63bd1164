import { existsSync } from 'node:fs';

import { defineConfig } from '@playwright/test';

// Natter's tests as people: real browsers against the release binary. `make e2e` runs them.
//
// Every test has its own server with its own data folder (support/test.ts), so tests share nothing and any of them
// runs alone: `make e2e ARGS="talk.spec.ts -g draft"`.

const root = process.getuid?.() === 0;

/** Where Debian's packages install Chromium: headless only, which is much faster, or complete. */
const INSTALLED = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'];

export default defineConfig({
  testDir: '.',
  testMatch: process.env.SCREENSHOTS ? 'screenshots.spec.ts' : 'tests/**/*.spec.ts',
  forbidOnly: !!process.env.CI,
  fullyParallel: true,
  workers: 2,
  retries: 0,
  // A busy machine is slow: this ends what hangs, and does not judge speed.
  timeout: 180_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
  use: {
    actionTimeout: 10_000,
    navigationTimeout: 20_000,
    // Tracing every test doubles their time. `--trace on` records traces of the tests to inspect.
    screenshot: 'only-on-failure',
    locale: 'en-GB',
    launchOptions: {
      executablePath: process.env.CHROMIUM || INSTALLED.find(existsSync),
      args: [
        // Chromium refuses to start its sandbox as root.
        ...(root ? ['--no-sandbox'] : []),
        // For support/states.ts: a name that leads to a server that does not know it.
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
