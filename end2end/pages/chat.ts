// The chat as one person sees it: where things are on the page, and what people do with them.

import { type Locator, type Page, expect } from '@playwright/test';

export class Chat {
  /** The page's last socket, and whether the server has welcomed it. */
  private socket: { isWelcome: boolean } | undefined;

  constructor(
    readonly page: Page,
    readonly name: string,
  ) {
    page.on('websocket', (connection) => {
      const socket = { isWelcome: false };
      this.socket = socket;
      connection.on('framereceived', ({ payload }) => {
        if (JSON.parse(String(payload)).type === 'Welcome') socket.isWelcome = true;
      });
    });
  }

  // What is where.

  /** The list of conversations. A phone hides it while a conversation is open. */
  get list(): Locator {
    return this.page.getByRole('navigation', { name: 'Conversations', includeHidden: true });
  }

  /** A conversation's entry in the list, by the other person's name. */
  entry(name: string): Locator {
    const written = this.page.locator('bdi').getByText(name, { exact: true });
    return this.list.locator('a[data-session]').filter({ has: written });
  }

  /** A conversation's count of unread messages in the list. */
  unread(name: string): Locator {
    return this.entry(name).locator('.unread');
  }

  /** The dot that shows whether somebody is online. */
  presence(name: string): Locator {
    return this.entry(name).locator('.presence');
  }

  get search(): Locator {
    return this.page.getByRole('search');
  }

  /** The answer to the last search, in words. */
  get answer(): Locator {
    return this.page.locator('[data-search-answer]');
  }

  /** This person's invitation to somebody, while it waits. */
  waiting(name: string): Locator {
    return this.page.getByRole('list', { name: 'Waiting for an answer' }).getByRole('listitem').filter({ hasText: name });
  }

  /** The card of an invitation to this person. */
  card(name: string): Locator {
    return this.page
      .getByRole('region', { name: 'Invitations' })
      .getByRole('article')
      .filter({ hasText: `${name} wants to talk to you` });
  }

  /** The scrolling part: the messages and what is above them. */
  get history(): Locator {
    return this.page.getByRole('group', { name: 'Message history' });
  }

  get messages(): Locator {
    return this.page.getByRole('list', { name: 'Messages' });
  }

  /** Every message in the open conversation, without days and notes. */
  get rows(): Locator {
    return this.messages.locator('li[data-mid]');
  }

  /** The rows with exactly this text. */
  row(text: string): Locator {
    return this.rows.filter({ has: this.page.locator('.text').getByText(text, { exact: true }) });
  }

  get composer(): Locator {
    return this.page.getByRole('textbox', { name: 'Message', exact: true });
  }

  get sendButton(): Locator {
    return this.page.getByRole('button', { name: 'Send', exact: true });
  }

  get jump(): Locator {
    return this.page.getByRole('button', { name: /jump to latest|new messages?/i });
  }

  get typing(): Locator {
    return this.page.locator('[data-typing]');
  }

  get connectionLost(): Locator {
    return this.page.locator('[data-connection=lost]');
  }

  // What people do.

  /** Opens the chat and waits until it has hydrated. */
  async open(path = '/'): Promise<void> {
    this.socket = undefined;
    await this.page.goto(path);
    await this.alive();
  }

  async reload(): Promise<void> {
    this.socket = undefined;
    await this.page.reload();
    await this.alive();
  }

  private async alive(): Promise<void> {
    await expect(this.page.locator('body[data-hydrated]')).toBeAttached();
    await expect(this.list).toBeAttached(); // a phone may show the conversation instead
  }

  /** Waits until the opened page's socket is in step, a moment after the page has hydrated. */
  async welcomed(): Promise<void> {
    await expect.poll(() => this.socket?.isWelcome, 'a Welcome').toBe(true);
  }

  async searchFor(name: string): Promise<void> {
    await this.search.getByRole('textbox', { name: 'Search' }).fill(name);
    await this.search.getByRole('button', { name: 'Invite' }).click();
  }

  /** Invites somebody who is online, and waits until they have the invitation. */
  async invite(name: string): Promise<void> {
    await this.searchFor(name);
    await expect(this.waiting(name)).toBeVisible();
  }

  async accept(name: string): Promise<void> {
    await this.card(name).getByRole('button', { name: 'Accept' }).click();
    await expect(this.composer).toBeFocused();
  }

  async openConversation(name: string): Promise<void> {
    await this.entry(name).click();
    await expect(this.entry(name)).toHaveAttribute('aria-current', 'page');
    await expect(this.composer).toBeVisible();
  }

  /** The SessionID of the open conversation. */
  async session(): Promise<string> {
    await this.page.waitForURL(/\/chat\/[0-9a-f-]{36}$/);
    return new URL(this.page.url()).pathname.slice('/chat/'.length);
  }

  /** Types a message and presses Enter; does not wait for the server. */
  async type(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press('Enter');
  }

  /** Sends a message and waits until the server has it. */
  async send(text: string): Promise<void> {
    await this.type(text);
    await expect(this.row(text)).toHaveAttribute('data-state', 'sent');
  }

  /** The texts of all messages, in the order on the page. */
  async texts(): Promise<string[]> {
    return this.rows.locator('.text').allInnerTexts();
  }

  /**
   * Sends many messages together over a separate socket, as a program would, and returns when the server has stored all
   * of them. Leaves the page's sockets alone.
   */
  async flood(session: string, texts: string[]): Promise<void> {
    await this.page.evaluate(flood, { session, texts });
  }
}

/** Runs in the browser. */
function flood({ session, texts }: { session: string; texts: string[] }): Promise<void> {
  return new Promise((done, failed) => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`);
    const say = (frame: object) => socket.send(JSON.stringify(frame));
    let stored = 0;
    socket.onopen = () => {
      say({ type: 'Hello', Sessions: {} });
      for (const text of texts) {
        say({ type: 'Message', SessionID: session, MessageID: crypto.randomUUID(), Data: text });
      }
    };
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === 'Refused') failed(new Error(frame.Reason));
      if (frame.type === 'Ack' && ++stored === texts.length) {
        socket.close();
        done();
      }
    };
    socket.onclose = () => failed(new Error(`closed after ${stored} of ${texts.length}`));
  });
}
