import { act, createElement } from 'react'
import { createRoot } from 'react-dom/client'
import { afterEach, expect, test, vi } from 'vitest'
import type { Socket } from '../../src/index.ts'
import { useSocketState } from '../../src/react.ts'

afterEach(() => vi.unstubAllGlobals())

test('useSocketState() listens to a socket once, however often its component is rendered', () => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  const on = vi.fn(() => () => {})
  const socket = { on, state: { name: 'open' } } as unknown as Socket
  const View = () => useSocketState(socket).name
  const root = createRoot(document.createElement('main'))
  for (let renders = 0; renders < 3; renders++) act(() => root.render(createElement(View, { key: 'same' })))
  expect(on).toHaveBeenCalledTimes(1)
  act(() => root.unmount())
})
