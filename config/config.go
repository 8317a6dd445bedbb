// Package config is the contract between the two halves of Sluice: control
// writes it, proxy serves it. It is plain data: it names no Kubernetes type and
// no socket, prints itself and validates itself.
//
// A configuration is a set of named resources (listeners, routes, backends).
// Resources are immutable once they are part of a [Delta]; a change is a new
// resource under the same name.
package config

import (
	"cmp"
	"net/netip"
	"time"
)

// Delta is a change of the configuration: resources to set and names to remove.
// It is applied as a whole or not at all.
type Delta struct {
	// Version numbers the configuration that this delta leads to. It only grows.
	Version uint64
	// Reset says that the delta is the whole configuration: what it does not
	// name is removed.
	Reset     bool
	Listeners []*Listener
	Routes    []*Route
	Backends  []*Backend
	Removed   []Ref
}

// Empty reports whether the delta changes nothing.
func (d *Delta) Empty() bool {
	return !d.Reset && len(d.Listeners) == 0 && len(d.Routes) == 0 && len(d.Backends) == 0 && len(d.Removed) == 0
}

// Kind tells the kinds of resources apart.
type Kind string

// The kinds of resources.
const (
	KindListener Kind = "listener"
	KindRoute    Kind = "route"
	KindBackend  Kind = "backend"
)

// Ref names one resource.
type Ref struct {
	Kind Kind
	Name string
}

// Report is the data plane's answer to a Delta.
type Report struct {
	// Version is that of the delta that is now in force.
	Version uint64
	// Listeners has the listeners that are not served, with the reason (an address
	// in use, a port that needs more rights), or, if it is an HTTP3Error, those that
	// are not served in HTTP/3. All others of the configuration in force are served.
	Listeners map[string]error
}

// HTTP3Error is why a listener is not served in HTTP/3, though it is in older versions.
type HTTP3Error struct{ Err error }

// Error implements error.
func (e *HTTP3Error) Error() string { return e.Err.Error() }

// Unwrap is what went wrong.
func (e *HTTP3Error) Unwrap() error { return e.Err }

// Protocol is what a listener speaks, in the words of the Gateway API.
type Protocol string

// The protocols of listeners.
const (
	// ProtocolHTTP is HTTP in clear text: HTTP/1.1, and HTTP/2 of clients that
	// begin with its preface.
	ProtocolHTTP Protocol = "HTTP"
	// ProtocolHTTPS is HTTP in TLS that ends here.
	ProtocolHTTPS Protocol = "HTTPS"
)

// Listener accepts connections and hands requests to the routes attached to it.
// Listeners of the same address and port share their socket; a request then
// belongs to the listener with the most specific hostname and to no other.
type Listener struct {
	// Name is namespace/gateway/section, or for a listener of a ListenerSet
	// namespace/gateway/namespace/listenerset/section.
	Name string
	// Addresses to bind. None means all addresses of the host.
	Addresses []netip.Addr
	// Port is the one that clients connect to.
	Port uint16
	// BindPort is the port to listen on where something in front leads Port
	// there; zero means Port itself.
	BindPort uint16
	Protocol Protocol
	// Hostname is empty (any), a name, or a wildcard such as "*.shop.example".
	// It is lower case.
	Hostname string
	// Certificates are what an HTTPS listener shows, one for each type of key
	// that clients may ask for, in the order of the Gateway.
	Certificates []Certificate
	// TLS is how an HTTPS listener speaks TLS; nil means the defaults.
	TLS *ListenerTLS
	// BackendCertificate is what backends that ask for a certificate are shown
	// for requests of this listener (Gateway, spec.tls.backend); nil for none.
	BackendCertificate *Certificate
	// Client is what a ClientPolicy says of the clients; nil means the defaults.
	// It is the same for all HTTP listeners that share a socket.
	Client *ClientSettings
}

// Certificate is a chain and its private key, both in PEM.
type Certificate struct {
	// Name says where it is from: "secret/default/shop-tls".
	Name string
	// Chain begins with the leaf.
	Chain []byte
	// Key is secret: it is part of no print and no JSON.
	Key []byte `json:"-"`
}

// TrustBundle is certificates of authorities, in PEM.
type TrustBundle struct {
	// Name says where it is from: "configmap/default/clients-ca".
	Name string
	PEM  []byte
}

// Binds are the addresses and ports that the listener listens on; [::] stands
// for all addresses of the host.
func (l *Listener) Binds() []netip.AddrPort {
	port := cmp.Or(l.BindPort, l.Port)
	if len(l.Addresses) == 0 {
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), port)}
	}
	all := make([]netip.AddrPort, len(l.Addresses))
	for i, a := range l.Addresses {
		all[i] = netip.AddrPortFrom(a.Unmap(), port)
	}
	return all
}

// Route is the rules of one route object and where they are attached.
type Route struct {
	// Name is kind/namespace/name, the kind in lower case: "httproute/default/shop".
	Name string
	// Created orders routes with equally specific matches: the older wins, then
	// the lesser namespace/name.
	Created time.Time
	// GRPC says that the route is a GRPCRoute: its matches compare the method
	// that is called, and backends whose protocol is AppHTTP get HTTP/2.
	GRPC        bool
	Attachments []Attachment
	Rules       []Rule
}

// Attachment binds a route to a listener.
type Attachment struct {
	// Listener is the Name of a Listener.
	Listener string
	// Hostnames is the intersection of the listener's hostname and the route's,
	// in lower case; [""] stands for any. It is never empty.
	Hostnames []string
}

// Rule is one rule of a route. One of Fault, Filters.Redirect and Backends
// decides the answer, in this order; without any, the answer is 500.
type Rule struct {
	// Name is the rule's name in the route object; often empty.
	Name string
	// Matches are alternatives; there is at least one.
	Matches  []Match
	Filters  Filters
	Backends []BackendRef
	Timeouts Timeouts
	Retry    *Retry
	// Fault is set where the rule itself cannot be served, as for a filter
	// that names something absent.
	Fault *Fault
}

// Fault is an answer in place of what could not be configured.
type Fault struct {
	// Status is the HTTP status code of the answer.
	Status int
	// Reason is for logs and explain, never for the client.
	Reason string
}

// Match holds if each of its parts holds.
type Match struct {
	// RPC is set where the route is of gRPC, and stands in place of Path, Method
	// and Query.
	RPC  *RPCMatch
	Path PathMatch
	// Method is empty for any.
	Method string
	// Headers are in the order of the route object; names are lower case and unique.
	Headers []ValueMatch
	// Query parameters; names are unique and compared exactly.
	Query []ValueMatch
}

// RPCMatch compares the method that a request calls by gRPC: it is sent with
// POST to the path /service/method. Other requests do not match, and what the
// content type is does not matter.
type RPCMatch struct {
	// Service and Method are empty for any.
	Service, Method string
	// Regex says that both are RE2 expressions that the whole name must match.
	Regex bool
}

// PathMatchType is how a path is compared.
type PathMatchType string

// The types of path matches.
const (
	PathExact  PathMatchType = "Exact"
	PathPrefix PathMatchType = "PathPrefix"
	PathRegex  PathMatchType = "RegularExpression"
)

// PathMatch compares the request's path, normalised and without its query.
type PathMatch struct {
	Type  PathMatchType
	Value string
}

// ValueMatch compares a header or a query parameter.
type ValueMatch struct {
	Name string
	// Regex says that Value is an RE2 expression that the whole value must match.
	Regex bool
	Value string
}

// Filters change a request on its way to the backend and its response on the
// way back. Each kind stands at most once, as in the Gateway API.
type Filters struct {
	RequestHeaders  *HeaderModifier
	ResponseHeaders *HeaderModifier
	Redirect        *Redirect
	Rewrite         *Rewrite
	Mirrors         []Mirror
	CORS            *CORS
}

// Header is a header field. Names keep the case that the user wrote.
type Header struct {
	Name, Value string
}

// HeaderModifier sets, adds and removes header fields, in this order.
type HeaderModifier struct {
	Set    []Header
	Add    []Header
	Remove []string
}

// PathModifier replaces the whole path or the prefix that the rule matched.
type PathModifier struct {
	// Full is the new path when Prefix is false.
	Full string
	// Prefix says to replace the matched prefix with Replacement.
	Prefix      bool
	Replacement string
}

// Redirect answers with a redirection.
type Redirect struct {
	// Scheme, Hostname and Port replace those of the request where set.
	Scheme   string
	Hostname string
	Port     uint16
	Path     *PathModifier
	// Status is 301, 302, 303, 307 or 308.
	Status int
}

// Rewrite changes the request's authority and path.
type Rewrite struct {
	Hostname string
	Path     *PathModifier
}

// Mirror sends a copy of the request to another backend and ignores the answer.
type Mirror struct {
	// Backend is the Name of a Backend.
	Backend string
	// Numerator of Denominator requests are mirrored.
	Numerator, Denominator int32
}

// CORS answers preflight requests and adds the response fields of the Fetch
// standard's CORS protocol.
type CORS struct {
	// AllowOrigins are origins, "*", or origins with a wildcard such as
	// "https://*.shop.example".
	AllowOrigins     []string
	AllowMethods     []string
	AllowHeaders     []string
	ExposeHeaders    []string
	AllowCredentials bool
	MaxAge           time.Duration
}

// Timeouts of a rule. Zero means no limit.
type Timeouts struct {
	// Request bounds the whole exchange, retries included.
	Request time.Duration
	// BackendRequest bounds one attempt.
	BackendRequest time.Duration
}

// Retry says when a request is sent again.
type Retry struct {
	// Codes are the response status codes that are retried.
	Codes []int
	// Attempts is the most retries after the first try.
	Attempts int
	// Backoff is the least time between two tries. Zero means the default.
	Backoff time.Duration
}

// BackendRef is one backend of a rule and its share of the requests.
type BackendRef struct {
	// Backend is the Name of a Backend, empty if Fault is set.
	Backend string
	// Weight is the share; zero takes no requests.
	Weight  int32
	Filters Filters
	// Fault answers this reference's share where it cannot be served.
	Fault *Fault
}

// AppProtocol is what a backend speaks.
type AppProtocol string

// The protocols of backends.
const (
	AppHTTP      AppProtocol = "http"
	AppWebSocket AppProtocol = "ws"
	AppH2C       AppProtocol = "h2c"
)

// Backend is one port of a service, or one of Sluice's own Backend objects.
type Backend struct {
	// Name is kind/namespace/name:port, the kind in lower case:
	// "service/default/web:80". A Backend object has no port: "backend/default/web".
	Name      string
	Protocol  AppProtocol
	Endpoints []Endpoint
	// Restricted says that who wrote the endpoints must not reach what only the
	// data plane can: endpoints that are, or resolve to, loopback, link-local,
	// unspecified or multicast addresses, those of a cloud's metadata, the data
	// plane's own addresses, or Unix sockets are not used.
	Restricted bool
	// TLS is how the backend is spoken to in TLS; nil means clear text.
	TLS *BackendTLS
	// Fault answers every request to the backend, as where the policy that says
	// how to verify it cannot be followed.
	Fault *Fault
}

// Endpoint is one address of a backend: exactly one of Address, Host and Unix is set.
type Endpoint struct {
	Address netip.AddrPort
	// Host is a domain name, resolved by the data plane again and again, with Port.
	Host string
	Port uint16
	// Unix is the path of a socket.
	Unix string
	// The conditions of an EndpointSlice's endpoint.
	Ready, Serving, Terminating bool
}
