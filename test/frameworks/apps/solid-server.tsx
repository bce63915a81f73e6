/** @jsxImportSource solid-js */
import { generateHydrationScript, renderToString } from 'solid-js/web'
import type { AppProps } from './contract.ts'
import { Main } from './solid.tsx'

/** Hydration needs what the script defines, which a test runs by itself. */
export const script = generateHydrationScript()
export const render = (props: AppProps) => renderToString(() => <Main {...props} />)
