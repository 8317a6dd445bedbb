package filter

import (
	"strconv"
	"strings"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
)

// The fields of the CORS protocol (Fetch standard, section "CORS protocol").
const (
	fieldOrigin           = "Origin"
	fieldRequestMethod    = "Access-Control-Request-Method"
	fieldRequestHeaders   = "Access-Control-Request-Headers"
	fieldAllowOrigin      = "Access-Control-Allow-Origin"
	fieldAllowCredentials = "Access-Control-Allow-Credentials"
	fieldAllowMethods     = "Access-Control-Allow-Methods"
	fieldAllowHeaders     = "Access-Control-Allow-Headers"
	fieldExposeHeaders    = "Access-Control-Expose-Headers"
	fieldMaxAge           = "Access-Control-Max-Age"
)

// defaultMaxAge holds where the configuration names none (HTTPCORSFilter.maxAge).
const defaultMaxAge = 5 * time.Second

// cors is the CORS filter (HTTPCORSFilter). It is the one authority on its
// resource: what a backend says of CORS is replaced where an origin is allowed,
// and taken off where it is not.
type cors struct {
	anyOrigin   bool
	origins     []origin
	credentials bool
	methods     list
	headers     list
	expose      list
	maxAge      string
}

// list is the value of a field that lists names.
type list struct {
	// wildcard stands for every name; the value is then empty.
	wildcard bool
	value    string
}

func compileCORS(c *config.CORS) *cors {
	if c == nil {
		return nil
	}
	maxAge := c.MaxAge
	if maxAge <= 0 {
		maxAge = defaultMaxAge
	}
	compiled := &cors{
		credentials: c.AllowCredentials,
		methods:     listOf(c.AllowMethods),
		headers:     listOf(c.AllowHeaders),
		expose:      listOf(c.ExposeHeaders),
		maxAge:      strconv.Itoa(int(maxAge / time.Second)),
	}
	for _, s := range c.AllowOrigins {
		if s == "*" {
			compiled.anyOrigin = true
		} else if o, ok := parseOrigin(s); ok {
			compiled.origins = append(compiled.origins, o)
		}
	}
	return compiled
}

func listOf(names []string) list {
	for _, name := range names {
		if name == "*" {
			return list{wildcard: true}
		}
	}
	return list{value: strings.Join(names, ", ")}
}

// request reads what the response will depend on, and reports whether the
// request is a preflight, which the gateway answers. One of a forbidden origin
// is answered too, without any CORS field: the browser refuses the rest itself.
func (c *cors) request(x *Exchange) bool {
	if !x.fetched {
		// Only once: a header modifier may change it before the next chain looks.
		x.fetched = true
		x.origin, _ = x.request.Header.Lookup(fieldOrigin)
		_, asks := x.request.Header.Lookup(fieldRequestMethod)
		x.preflight = x.request.Method == "OPTIONS" && x.origin != "" && asks
	}
	return x.preflight
}

// response sets the fields of the CORS protocol.
func (c *cors) response(x *Exchange, r *message.Response) {
	forAll := c.anyOrigin && !c.credentials
	if !forAll {
		varyByOrigin(&r.Header)
	}
	switch {
	case x.origin == "":
		return
	case !c.allows(x.origin):
		r.Header.Del(fieldAllowOrigin)
		r.Header.Del(fieldAllowCredentials)
		return
	case forAll:
		r.Header.Set(fieldAllowOrigin, "*")
	default:
		r.Header.Set(fieldAllowOrigin, x.origin)
	}
	if c.credentials {
		r.Header.Set(fieldAllowCredentials, "true")
	} else {
		r.Header.Del(fieldAllowCredentials)
	}
	c.setExpose(x, r)
	if x.preflight {
		setList(r, fieldAllowMethods, c.methods, x.request.Header.Get(fieldRequestMethod))
		requested, _ := x.request.Header.Joined(fieldRequestHeaders)
		setList(r, fieldAllowHeaders, c.headers, requested)
		r.Header.Set(fieldMaxAge, c.maxAge)
	}
}

// setList sets a field to the configured list. A wildcard is answered with what
// the client asks for: "*" is not allowed together with credentials, and does
// not cover the Authorization field.
func setList(r *message.Response, name string, l list, requested string) {
	value := l.value
	if l.wildcard {
		value = requested
	}
	if value != "" {
		r.Header.Set(name, value)
	}
}

// setExpose names the fields that a script may see. With credentials, "*" is
// not allowed and the response's own fields are named instead.
func (c *cors) setExpose(x *Exchange, r *message.Response) {
	switch {
	case !c.expose.wildcard:
		setList(r, fieldExposeHeaders, c.expose, "")
	case !c.credentials:
		r.Header.Set(fieldExposeHeaders, "*")
	case !x.preflight:
		r.Header.Set(fieldExposeHeaders, fieldNames(&r.Header))
	}
}

func fieldNames(h *message.Header) string {
	names := make([]string, len(h.Fields))
	for i := range h.Fields {
		names[i] = h.Fields[i].Name
	}
	return strings.Join(names, ", ")
}

// varyByOrigin tells caches that another origin gets another response (Fetch
// standard, "CORS protocol and HTTP caches").
func varyByOrigin(h *message.Header) {
	for value := range h.Values("Vary") {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name == "*" || message.EqualFold(name, fieldOrigin) {
				return
			}
		}
	}
	h.Add("Vary", fieldOrigin)
}
