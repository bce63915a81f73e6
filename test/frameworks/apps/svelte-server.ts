import { render as renderOnServer } from 'svelte/server'
import type { AppProps } from './contract.ts'
import Main from './Main.svelte'

export const render = (props: AppProps) => renderOnServer(Main, { props }).body
