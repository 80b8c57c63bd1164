import { defineConfig } from '@playwright/test';

// Natter's tests as people: real browsers against the release binary. `make e2e` runs them.
//
// Every test has its own server with its own data folder (support/test.ts), so tests share nothing and any of
// them can be run alone: `make e2e ARGS="talk.spec.ts -g draft"`.

const root = process.getuid?.() === 0;

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
    trace: 'retain-on-failure',
    locale: 'en-GB',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        // Chromium refuses to start its sandbox as root.
        ...(root ? ['--no-sandbox'] : []),
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
