// The markup of both pages. It is constant: what comes from the network goes through `textContent` only.
const layout = `
  <header>
    <h1>SteadySocket</h1>
    <p class="pill"><span class="dot" aria-hidden="true"></span><strong id="state" role="status" aria-live="polite"></strong></p>
  </header>
  <p class="about">Live push notifications that survive an outage, loaded
    <a href="/">by a script tag</a> or <a href="/esm.html">by an import</a>.</p>

  <main>
    <section class="card" aria-labelledby="connection-title">
      <h2 id="connection-title">Connection</h2>
      <dl class="facts">
        <div><dt>Attempt</dt><dd id="attempt">–</dd></div>
        <div><dt>Next attempt</dt><dd id="countdown">–</dd></div>
        <div><dt>Latency</dt><dd id="latency">–</dd></div>
        <div><dt>Queued</dt><dd id="queued">0</dd></div>
      </dl>
      <progress id="progress" max="1" value="0" aria-label="Time until the next attempt"></progress>
      <p class="cause"><span class="label">Cause</span> <span id="cause">–</span></p>
      <div class="buttons">
        <button type="button" id="reconnect">Reconnect now</button>
        <button type="button" id="close">Close</button>
        <button type="button" id="connect">Connect</button>
      </div>
      <h3>Break the line, for every page</h3>
      <div class="buttons">
        <button type="button" id="cut" class="danger">Cut all connections</button>
        <button type="button" id="refuse" class="danger">Refuse connections for 5 s</button>
      </div>
      <p id="control-answer" class="note">The server ends connections without a close frame, as a failing network does.</p>
    </section>

    <section class="card" aria-labelledby="mine-title">
      <h2 id="mine-title">My messages</h2>
      <form id="form">
        <label for="text">Message to everybody</label>
        <div class="line">
          <input id="text" name="text" maxlength="500" autocomplete="off" placeholder="Hello">
          <button type="submit" id="send" class="primary">Send</button>
        </div>
      </form>
      <div class="buttons"><button type="button" id="send-five">Send 5 numbered messages</button></div>
      <ol id="mine" class="chips" aria-label="What became of each message"></ol>
      <dl class="rows">
        <div><dt>Not yet sent</dt><dd id="unsent">none</dd></div>
        <div><dt>Came back, in this order</dt><dd id="arrived">none</dd></div>
      </dl>
      <p class="note">I am <strong id="sender"></strong>. A message has <em>arrived</em> when the server's broadcast brought it
        back. If the line breaks after the browser took a message and before that, its fate is <em>unknown</em>.</p>
    </section>

    <section class="card feed" aria-labelledby="feed-title">
      <h2 id="feed-title">Notifications</h2>
      <ol id="feed" tabindex="0" aria-labelledby="feed-title"></ol>
    </section>

    <section class="card" aria-labelledby="pictures-title">
      <h2 id="pictures-title">Pictures, pushed as binary</h2>
      <div id="pictures"></div>
    </section>

    <section class="card" aria-labelledby="stats-title">
      <h2 id="stats-title">Statistics</h2>
      <table>
        <caption class="hidden">The snapshot that socket.stats gives</caption>
        <tbody id="stats"></tbody>
      </table>
    </section>

    <section class="card log" aria-labelledby="log-title">
      <h2 id="log-title">Events of the socket</h2>
      <ol id="log" tabindex="0" aria-labelledby="log-title"></ol>
    </section>
  </main>
`

/** Puts the page in place and returns its elements by id. */
export const lay = () => {
  document.body.innerHTML = layout
  document.querySelector(`a[href="${location.pathname}"]`)?.setAttribute('aria-current', 'page')
  return Object.fromEntries([...document.querySelectorAll('[id]')].map(element => [element.id, element]))
}

/** Writes only what has changed: a screen reader repeats what is written, a selection gets lost in it. */
export const write = (element, text) => {
  if (element.textContent !== String(text)) element.textContent = text
}

export const make = (tag, className, ...content) => {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...content) // strings become text nodes, never markup
  return element
}

/** Puts an item at the top of a list and forgets the oldest ones beyond `limit`. */
export const prepend = (list, item, limit) => {
  list.prepend(item)
  while (list.childElementCount > limit) list.lastElementChild.remove()
}

export const time = at => {
  const element = make('time', '', new Date(at).toLocaleTimeString('en-GB'))
  element.dateTime = new Date(at).toISOString()
  return element
}

export const seconds = ms => (ms === Infinity ? 'until woken' : `${(ms / 1000).toFixed(1)} s`)
