"""The console's style sheet, and the headers that let a browser use it and nothing else."""

import base64
import hashlib
from collections.abc import Mapping

REFRESH_SECONDS = 10
STYLE = """
:root{color-scheme:light dark;--line:#8886;--good:#19703a;--bad:#b3261e;--text:#1b1b1f;--page:#fff;--link:#0b57d0;--soft:#55555c}
@media(prefers-color-scheme:dark){:root{--good:#5fd38d;--bad:#ff8a80;--text:#e6e6ea;--page:#16161a;--link:#a8c7fa;--soft:#b4b4bc}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem auto;max-width:68rem;padding:0 1rem;color:var(--text);background:var(--page)}
h1{font-size:1.3rem;margin:0}h2{font-size:1.05rem;margin:1.8rem 0 .3rem}
a{color:var(--link)}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;margin:.4rem 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);max-width:24rem;overflow-wrap:break-word}
th{font-weight:600;color:var(--soft)}td{font-variant-numeric:tabular-nums}
.state{font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}
li{margin:.3rem 0}.cure{color:var(--soft)}
figure{margin:.5rem 0}figcaption{color:var(--soft);font-size:.87rem}
svg{display:block;width:100%;height:80px}
.allow{fill:var(--good)}.deny{fill:var(--bad)}.axis{stroke:var(--line)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:0 2rem}
form{display:grid;gap:.5rem;max-width:36rem}
label{font-weight:600}
select,textarea,button{font:inherit;padding:.35rem;color:inherit;background:transparent;border:1px solid var(--soft);border-radius:4px;width:100%}
option{color:var(--text);background:var(--page)}
button{width:auto;justify-self:start;padding:.35rem 1rem}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Mapping[str, str] = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
