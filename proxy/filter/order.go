// Package filter changes the heads of requests and responses as the filters of
// an HTTPRoute say (Gateway API v1, HTTPRouteFilter). It does no I/O.
//
// A [Chain] is the filters of one rule or of one backendRef. The chains of an
// exchange lie around each other: the rule's sees the request first and the
// response last. One [Exchange] goes through both.
package filter

import (
	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
)

// Chain is the filters of one rule or backendRef, compiled. It is immutable and
// safe for concurrent use; nil does nothing.
//
// Mirrors are no part of it, as they change neither head: see [Sample].
type Chain struct {
	cors            *cors
	redirect        *config.Redirect
	requestHeaders  *Headers
	responseHeaders *Headers
	rewrite         *config.Rewrite
}

// Compile returns the chain of the filters, nil where there is nothing to do.
func Compile(f *config.Filters) *Chain {
	c := Chain{
		cors:            compileCORS(f.CORS),
		redirect:        compileRedirect(f.Redirect),
		requestHeaders:  CompileHeaders(f.RequestHeaders),
		responseHeaders: CompileHeaders(f.ResponseHeaders),
		rewrite:         compileRewrite(f.Rewrite),
	}
	if c == (Chain{}) {
		return nil
	}
	return &c
}

// Request changes the exchange's request on its way to the backend. The order
// is fixed, whatever the order in the route object:
//
//  1. CORS answers preflights. They come first because a browser accepts no
//     redirect in answer to one (Fetch standard, CORS-preflight fetch).
//  2. A redirect answers with a place that is derived from what the client asked
//     for, so before anything changes that.
//  3. Header modifiers.
//  4. The rewrite of authority and path, after the modifiers because it is the
//     more particular word on the Host field.
//
// Where a filter answers in the backend's place, the response is returned. It
// has been through this chain's Response already, and is valid until the
// exchange's Reset. Otherwise Request returns nil.
func (c *Chain) Request(x *Exchange) *message.Response {
	if c == nil {
		return nil
	}
	if c.cors != nil && c.cors.request(x) {
		return c.answer(x, statusNoContent)
	}
	if c.redirect != nil {
		r := c.answer(x, c.redirect.Status)
		r.Header.Set("Location", location(c.redirect, x))
		return r
	}
	c.requestHeaders.Request(x.request)
	if c.rewrite != nil {
		rewrite(c.rewrite, x)
	}
	return nil
}

// Response changes a response on its way to the client, in the order of
// Request turned around: header modifiers, so that they can take off what the
// backend says about CORS, and then CORS.
func (c *Chain) Response(x *Exchange, r *message.Response) {
	if c == nil {
		return
	}
	c.responseHeaders.Response(r)
	if c.cors != nil {
		c.cors.response(x, r)
	}
}

// statusNoContent is a success that has no body, as a preflight's answer needs none.
const statusNoContent = 204

func (c *Chain) answer(x *Exchange, status int) *message.Response {
	r := &x.answer
	r.Reset()
	r.Status = status
	c.Response(x, r)
	return r
}
