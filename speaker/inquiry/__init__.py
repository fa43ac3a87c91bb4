"""Why a route is there or not: the whole chain in words, for one prefix.

`why` asks a running router and gives a `speaker.inquiry.answer.Why`. Nothing is remembered for it
beside the last refusals of each peer (`speaker.rib.refusals`): rules are functions, so what they
said of a route is what they say when they are asked again. Only single prefixes are looked up, and
no table is walked; with a million routes an answer takes milliseconds.

The parts, in the order of the chain: `way_in` and `own` (who told it, what let it in), `deciding`
(which path won), the table of next hops itself (`speaker.rib.resolving`), `in_kernel`, `way_out`.
All reasons are in `reasons`; `summary` and `text` put them into lines.
"""
