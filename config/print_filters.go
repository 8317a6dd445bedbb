package config

import "fmt"

func (p *printer) filters(f *Filters) {
	p.cors(f.CORS)
	p.headerModifier("request headers", f.RequestHeaders)
	p.headerModifier("response headers", f.ResponseHeaders)
	p.redirect(f.Redirect)
	p.rewrite(f.Rewrite)
	for _, m := range f.Mirrors {
		p.line("mirror", m.Backend, fmt.Sprintf("%d/%d", m.Numerator, m.Denominator))
	}
}

func (p *printer) headerModifier(name string, m *HeaderModifier) {
	if m == nil {
		return
	}
	words := []string{name}
	for _, h := range m.Set {
		words = append(words, "set", word(h.Name, h.Value))
	}
	for _, h := range m.Add {
		words = append(words, "add", word(h.Name, h.Value))
	}
	for _, name := range m.Remove {
		words = append(words, "remove", name)
	}
	p.line(words...)
}

func (p *printer) redirect(r *Redirect) {
	if r != nil {
		p.line("redirect", fmt.Sprint(r.Status), word("scheme", r.Scheme), word("hostname", r.Hostname), number("port", r.Port), pathModifier(r.Path))
	}
}

func (p *printer) rewrite(r *Rewrite) {
	if r != nil {
		p.line("rewrite", word("hostname", r.Hostname), pathModifier(r.Path))
	}
}

func pathModifier(m *PathModifier) string {
	switch {
	case m == nil:
		return ""
	case m.Prefix:
		return fmt.Sprintf("prefix=%q", m.Replacement)
	}
	return fmt.Sprintf("path=%q", m.Full)
}

func (p *printer) cors(c *CORS) {
	if c != nil {
		p.line("cors", list("origins", c.AllowOrigins), list("methods", c.AllowMethods), list("headers", c.AllowHeaders),
			list("expose", c.ExposeHeaders), flag("credentials", c.AllowCredentials), duration("maxAge", c.MaxAge))
	}
}
