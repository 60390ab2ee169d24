"""How the page looks: light and dark by the reader's choice, narrow and wide, on paper light."""

CSS = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b2127;--muted:#5a6672;--rule:#d8dee4;
--soft:#f5f7f9;--band:#e6eef8;--blue:#1f62b5;--red:#c03030;--green:#2c7a3f;--good:#1c7a3a;
--good-soft:#eaf6ee;--bad:#b3261e;--bad-soft:#fcefee;--warn:#8a5a00}
@media screen and (prefers-color-scheme:dark){:root{--paper:#14181c;--ink:#e4e8ec;--muted:#9aa6b2;
--rule:#343c44;--soft:#1c2228;--band:#243449;--blue:#74aef2;--red:#f08080;--green:#7cc98e;
--good:#6fcf8b;--good-soft:#16281d;--bad:#ff8f86;--bad-soft:#33191a;--warn:#e2b457}}
*{box-sizing:border-box}
body{margin:0 auto;padding:24px 20px 64px;max-width:1060px;background:var(--paper);
color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
h1{margin:0;font-size:1.6rem;line-height:1.25;font-weight:650;overflow-wrap:anywhere}
h1 small{color:var(--muted);font-weight:400;font-size:1.1rem}
h2{margin:40px 0 8px;padding-top:12px;border-top:1px solid var(--rule);font-size:1.2rem}
h3{margin:24px 0 6px;font-size:1rem;overflow-wrap:anywhere}
p{margin:6px 0;max-width:75ch;overflow-wrap:anywhere}
ul{margin:6px 0;padding-left:20px;max-width:75ch;overflow-wrap:anywhere}
.muted,small{color:var(--muted)}
nav{margin:14px 0 0;display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.9rem}
a{color:var(--blue);text-decoration:none}a:hover{text-decoration:underline}
.verdict{margin:18px 0 0;padding:12px 16px;border-left:5px solid var(--good);
background:var(--good-soft);border-radius:0 6px 6px 0}
.verdict.failed{border-color:var(--bad);background:var(--bad-soft)}
.verdict b{font-size:1.25rem;color:var(--good)}.verdict.failed b{color:var(--bad)}
.good{color:var(--good);white-space:nowrap}.bad{color:var(--bad)}td .bad{white-space:nowrap}
.warnings{list-style:none;padding:0}
.warnings li{margin:4px 0;padding-left:12px;border-left:3px solid var(--warn)}
.wide{overflow-x:auto;margin:10px 0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:5px 12px 5px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}
th{color:var(--muted);font-weight:500;vertical-align:bottom;line-height:1.3}
th.figure{min-width:4.5em}
.figure{text-align:right;padding-left:8px}td.figure{white-space:nowrap}
td:first-child{overflow-wrap:anywhere;min-width:6em}
.name{min-width:20em;max-width:32em;line-height:1.35}.name small{white-space:nowrap}
.bar{width:120px;height:14px;vertical-align:-2px}
.bar .room{fill:var(--soft);stroke:var(--rule)}.bar .used{fill:var(--good)}
.bar .over{fill:var(--bad)}.bar .mark{stroke:var(--ink);stroke-width:1.5}
.bar .count{fill:var(--blue)}
.chart{display:block;width:100%;max-width:720px;min-width:520px;height:auto}
.spark{display:block;width:150px;height:39px;margin-left:auto}
.chart *,.spark *{stroke-linejoin:round}
svg text{font-family:inherit!important}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:10px 0}
dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere}
pre{margin:10px 0;padding:12px 14px;background:var(--soft);border:1px solid var(--rule);
border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}
code,.hash{font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.85em}
details{margin:10px 0}summary{cursor:pointer;color:var(--blue)}
.samples{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,230px),1fr));
gap:20px;margin:12px 0}
.samples.large{grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr))}
figure{margin:0;font-size:.85rem}figcaption{margin-top:6px;overflow-wrap:anywhere}
figcaption ul{padding:0;list-style:none;margin:2px 0;color:var(--muted)}
.picture{display:block;max-width:100%;height:auto;border-radius:3px}
.panels{display:grid;gap:6px}.panels small{display:block;line-height:1.3}
.key{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:.85rem;color:var(--muted)}
.key i{display:inline-block;width:14px;height:10px;margin-right:6px}
.key i.frame{height:0;vertical-align:4px;width:22px}
rect.frame{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}
rect.truth{stroke:#37d067;stroke-width:4;stroke-opacity:.75}
rect.float{stroke:#1e90ff;stroke-dasharray:7 3}rect.quantized{stroke:#ff4b33;stroke-dasharray:2 3}
i.truth{border-top:4px solid #37d067}i.float{border-top:2px dashed #1e90ff}
i.quantized{border-top:2px dotted #ff4b33}
.picture text{font-size:9px;font-weight:600;paint-order:stroke;stroke:#000;stroke-width:2px;
stroke-linejoin:round}
text.truth{fill:#7df0a0}text.float{fill:#9fd0ff}text.quantized{fill:#ffb3a6}
@media (max-width:600px){body{padding:16px 14px 48px;font-size:14px}h1{font-size:1.35rem}
dl{grid-template-columns:1fr}dd{margin-bottom:6px}.name{min-width:11em}}
@media print{body{max-width:none;padding:0;font-size:10.5pt}nav{display:none}
.wide{overflow:visible}.chart{min-width:0}h2,h3{break-after:avoid}
tr,figure,.chart,.verdict,pre{break-inside:avoid}
details{display:none}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}table{font-size:8pt}
.name{min-width:12em}
th,td{padding-right:7px}}
"""
