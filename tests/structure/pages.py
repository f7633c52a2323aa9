"""A page, and its readable text."""

PAGE = """<!DOCTYPE html><html><head><title>Anvils &amp; more</title><meta name=description content="We sell anvils.">
<style>p { color: red }</style><script>var x = "<p>not this</p>";</script></head>
<body><nav class="top"><ul><li><a href="/home">Home</a></li><li><a href=/shop>Shop</a></ul></nav>
<main><h1>Anvils <span>of Acme</span></h1>
<p>The <b>best</b> anvil costs &pound;42.50. See <a href="https://acme.test/p?id=7&amp;x=1">the list</a>.
<p>Delivery takes 3&ndash;5 days.<!-- really? --> <a href="javascript:go()">Go</a>
<h2>Prices</h2>
<table class="wide"><tr><th>Name<th>Price</tr><tr><td>Small</td><td>10</td></tr><tr><td>Big | heavy<td>99</table>
<pre>
def f():
    return 1
</pre>
<ol start=3><li><p>third</p><p>and more</p><li>fourth<ul><li>inner</ul></ol>
<div style="display: none">secret</div><img src=x.png alt="An anvil"><img src=pixel.gif>
</main><footer>Copyright 2024</footer></body></html>"""
TEXT = """[… readable text of an HTML page; left out: markup, 1 hidden element, 1 image, 1 script, 1 style]
Anvils & more
We sell anvils.
- [Home](/home)
- [Shop](/shop)
# Anvils of Acme
The best anvil costs £42.50. See [the list](https://acme.test/p?id=7&x=1).
Delivery takes 3–5 days. Go
## Prices
| Name | Price |
| Small | 10 |
| Big \\| heavy | 99 |
def f():
    return 1
3. third
  and more
4. fourth
  - inner
[image: An anvil]
Copyright 2024"""
