// The line between one page and the server, with a hand on it: what crosses can be held, dropped or answered.

import { type WebSocketRoute, expect } from '@playwright/test';

import type { Chat } from '../pages/chat';

export type Frame = { type: string } & Record<string, unknown>;

/** Decides about one frame: `true` lets it pass. May act on the line itself. */
type Decide = (frame: Frame) => boolean;

export class Line {
  /** Everything that crossed or tried to, in order. */
  readonly said: Frame[] = [];
  readonly heard: Frame[] = [];
  /** When the page connected, each time, as `Date.now` has it. */
  readonly connected: number[] = [];

  private page: WebSocketRoute | undefined;
  private server: WebSocketRoute | undefined;
  private decideSaid: Decide = () => true;
  private decideHeard: Decide = () => true;
  private held: string[] | undefined;
  private late: (() => void)[] | undefined;
  private unplugged = false;
  private ready: Promise<unknown> = Promise.resolve();

  /** Puts the hand on the line of a page, which is loaded anew for it, and waits until it is welcome. */
  static async tap(chat: Chat): Promise<Line> {
    const line = new Line();
    await chat.page.routeWebSocket(/\/ws$/, (page) => line.connect(page));
    await chat.reload();
    await expect.poll(() => line.heard.some(({ type }) => type === 'Welcome'), 'a Welcome').toBe(true);
    return line;
  }

  private async connect(page: WebSocketRoute): Promise<void> {
    this.connected.push(Date.now());
    await this.ready;
    if (this.unplugged) {
      // Closed when it is open, which the page notices at once: unlike a real socket, one that closes earlier does not
      // wake it, and it would wait for 10 s.
      page.onMessage(() => void page.close({ code: 1012 }));
      return;
    }
    const server = page.connectToServer();
    this.page = page;
    this.server = server;
    // What is still on its way when the line is cut reaches nobody: a closing socket would complain of it.
    page.onMessage((text) => {
      if (this.server !== server) return;
      const frame = JSON.parse(String(text)) as Frame;
      this.said.push(frame);
      if (!this.decideSaid(frame)) return;
      if (this.held) this.held.push(String(text));
      else server.send(text);
    });
    server.onMessage((text) => {
      if (this.server !== server) return;
      const frame = JSON.parse(String(text)) as Frame;
      this.heard.push(frame);
      if (!this.decideHeard(frame)) return;
      if (this.late) this.late.push(() => page.send(text));
      else page.send(text);
    });
  }

  /** Only frames that `decide` agrees to go from the page to the server. */
  onSaid(decide: Decide): void {
    this.decideSaid = decide;
  }

  /** Only frames that `decide` agrees to go from the server to the page. */
  onHeard(decide: Decide): void {
    this.decideHeard = decide;
  }

  /** The network becomes slow: what the page says goes nowhere until `release`. */
  hold(): void {
    this.held ??= [];
  }

  release(): void {
    const held = this.held ?? [];
    this.held = undefined;
    for (const text of held) this.server?.send(text);
  }

  /** The other direction is slow: what the server says waits until `deliver`. */
  delay(): void {
    this.late ??= [];
  }

  deliver(): void {
    const late = this.late ?? [];
    this.late = undefined;
    for (const give of late) give();
  }

  /** Says something to the page in the server's name. */
  tell(frame: Frame): void {
    this.page?.send(JSON.stringify(frame));
  }

  /** From now on the page reaches the server only after this. */
  connectAfter(ready: Promise<unknown>): void {
    this.ready = ready;
  }

  /** Cuts the line and lets no other one come about, until `plug`. */
  async unplug(): Promise<void> {
    this.unplugged = true;
    await this.cut();
  }

  plug(): void {
    this.unplugged = false;
  }

  /** Plugs it in and calls the page until it is welcome again: a call is passed over while a try is just failing. */
  async back(chat: Chat): Promise<void> {
    const welcomes = () => this.heard.filter(({ type }) => type === 'Welcome').length;
    const before = welcomes();
    this.plug();
    await expect(async () => {
      await chat.page.evaluate(() => void dispatchEvent(new Event('online')));
      expect(welcomes()).toBeGreaterThan(before);
    }).toPass({ intervals: [250], timeout: 60_000 });
  }

  /** Cuts the line, as a network would. */
  async cut(): Promise<void> {
    const { page, server } = this;
    this.page = this.server = undefined;
    await Promise.all([page?.close({ code: 1012 }), server?.close()]);
  }
}
