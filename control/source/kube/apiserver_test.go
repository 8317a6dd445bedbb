package kube_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

// paths are where the API server has the objects of each kind.
var paths = map[snapshot.Kind]string{
	snapshot.KindGatewayClass:             "/apis/gateway.networking.k8s.io/v1/gatewayclasses",
	snapshot.KindGateway:                  "/apis/gateway.networking.k8s.io/v1/gateways",
	snapshot.KindListenerSet:              "/apis/gateway.networking.k8s.io/v1/listenersets",
	snapshot.KindHTTPRoute:                "/apis/gateway.networking.k8s.io/v1/httproutes",
	snapshot.KindGRPCRoute:                "/apis/gateway.networking.k8s.io/v1/grpcroutes",
	snapshot.KindTLSRoute:                 "/apis/gateway.networking.k8s.io/v1/tlsroutes",
	snapshot.KindTCPRoute:                 "/apis/gateway.networking.k8s.io/v1/tcproutes",
	snapshot.KindUDPRoute:                 "/apis/gateway.networking.k8s.io/v1/udproutes",
	snapshot.KindReferenceGrant:           "/apis/gateway.networking.k8s.io/v1/referencegrants",
	snapshot.KindBackendTLSPolicy:         "/apis/gateway.networking.k8s.io/v1/backendtlspolicies",
	snapshot.KindBackend:                  "/apis/sluice.dev/v1alpha1/backends",
	snapshot.KindClientPolicy:             "/apis/sluice.dev/v1alpha1/clientpolicies",
	snapshot.KindGatewayParameters:        "/apis/sluice.dev/v1alpha1/gatewayparameters",
	snapshot.KindNamespace:                "/api/v1/namespaces",
	snapshot.KindService:                  "/api/v1/services",
	snapshot.KindSecret:                   "/api/v1/secrets",
	snapshot.KindConfigMap:                "/api/v1/configmaps",
	snapshot.KindPod:                      "/api/v1/pods",
	snapshot.KindEndpointSlice:            "/apis/discovery.k8s.io/v1/endpointslices",
	snapshot.KindLease:                    "/apis/coordination.k8s.io/v1/leases",
	snapshot.KindCustomResourceDefinition: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
}

// apiServer answers as an API server does: lists, watches from a version on, lists
// by a watch, gets; JSON and protobuf, whole objects and metadata. How it is written
// to is in apiwrites_test.go.
type apiServer struct {
	scheme *runtime.Scheme
	codecs serializer.CodecFactory
	net    network

	mu      sync.Mutex
	version int
	objects map[snapshot.Key]snapshot.Object
	history []happened
	oldest  int           // watches from before are gone
	changed chan struct{} // closed with each change
	watches chan struct{} // closed to end all watches
	// refusals are status codes by "list gateways", "watch gateways", "get secrets",
	// "patch gateways/status".
	refusals map[string]int
	// withoutWatchLists has the server refuse to list by a watch, as older ones do.
	withoutWatchLists bool
	requests          map[string]int    // by the same names
	accepts           map[string]string // what was asked for, by the same names
	garbled           string            // a resource whose lists make no sense
	stalled           map[string]chan struct{}
	writing           sync.Mutex // one write after the other
}

type happened struct {
	at     int
	event  string
	key    snapshot.Key
	object snapshot.Object
}

func newAPIServer(t testing.TB) *apiServer {
	s := &apiServer{
		scheme: runtime.NewScheme(), objects: map[snapshot.Key]snapshot.Object{},
		changed: make(chan struct{}), watches: make(chan struct{}), refusals: map[string]int{}, requests: map[string]int{}, accepts: map[string]string{}, stalled: map[string]chan struct{}{},
		net: network{accepting: make(chan net.Conn), closed: make(chan struct{})},
	}
	for _, add := range []func(*runtime.Scheme) error{
		gatewayv1.Install, v1alpha1.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme, coordinationv1.AddToScheme,
	} {
		if err := add(s.scheme); err != nil {
			t.Fatal(err)
		}
	}
	s.codecs = serializer.NewCodecFactory(s.scheme)
	server := &http.Server{Handler: s}
	go func() { _ = server.Serve(&s.net) }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

func (s *apiServer) client(t testing.TB) *kube.Client { return clientBy(t, &s.net, controller) }

func clientBy(t testing.TB, n *network, of gatewayv1.GatewayController) *kube.Client {
	client, err := kube.NewClientOf(&rest.Config{
		Host: "http://kube.test", Dial: n.dial, UserAgent: "test",
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
	}, of)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// put sets objects, each with a version of its own.
func (s *apiServer) put(objects ...snapshot.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, object := range objects {
		object := object.DeepCopyObject().(snapshot.Object)
		key := snapshot.KeyOf(object)
		event := "ADDED"
		if before := s.objects[key]; before != nil {
			event = "MODIFIED"
			object.SetUID(before.GetUID())
		} else {
			object.SetUID(types.UID("uid-" + strconv.Itoa(s.version+1)))
		}
		s.happen(event, key, object)
		s.objects[key] = object
	}
}

func (s *apiServer) remove(keys ...snapshot.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if object := s.objects[key]; object != nil {
			s.happen("DELETED", key, object.DeepCopyObject().(snapshot.Object))
			delete(s.objects, key)
		}
	}
}

func (s *apiServer) happen(event string, key snapshot.Key, object snapshot.Object) {
	s.version++
	object.SetResourceVersion(strconv.Itoa(s.version))
	s.history = append(s.history, happened{s.version, event, key, object})
	close(s.changed)
	s.changed = make(chan struct{})
}

// refuse has the server answer what is named with a status code; 0 ends that.
// Watches that are open end.
func (s *apiServer) refuse(code int, what ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, what := range what {
		s.refusals[what] = code
	}
	s.endWatches()
}

// compact forgets the history, and ends all watches.
func (s *apiServer) compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oldest, s.history = s.version, nil
	s.endWatches()
}

// garble has the lists of a resource make no sense.
func (s *apiServer) garble(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.garbled = resource
	s.endWatches()
}

// stall has requests wait until the channel is closed.
func (s *apiServer) stall(what string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	release := make(chan struct{})
	s.stalled[what] = release
	return release
}

func (s *apiServer) endWatches() {
	close(s.watches)
	s.watches = make(chan struct{})
}

// asked is how often there was a request.
func (s *apiServer) asked(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[what]
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, _ := io.ReadAll(r.Body) // only then is it noticed when the client goes
	namespace, name, part, path := "", "", "", strings.Split(r.URL.Path, "/")
	if at := slices.Index(path, "namespaces"); at >= 0 && len(path) > at+2 {
		namespace = path[at+1]
		path = slices.Delete(path, at, at+2)
	}
	var kind snapshot.Kind
	for k, p := range paths {
		parts := strings.Split(p, "/")
		if len(path) >= len(parts) && slices.Equal(path[:len(parts)], parts) {
			kind = k
			name, part, _ = strings.Cut(strings.Join(path[len(parts):], "/"), "/")
		}
	}
	query := r.URL.Query()
	verb := "list"
	switch {
	case r.Method != http.MethodGet:
		verb = strings.ToLower(r.Method)
	case name != "":
		verb = "get"
	case query.Get("watch") == "true":
		verb = "watch"
	}
	resource := paths[kind][strings.LastIndex(paths[kind], "/")+1:]
	what := strings.TrimSuffix(verb+" "+resource+"/"+part, "/")
	s.mu.Lock()
	s.requests[what]++
	s.accepts[what] = r.Header.Get("Accept")
	code := s.refusals[what]
	if code == 0 {
		code = s.refusals[what+" "+name]
	}
	if code == 0 && query.Get("sendInitialEvents") == "true" && s.withoutWatchLists {
		code = http.StatusUnprocessableEntity
	}
	garbled, stalled := s.garbled == resource, s.stalled[what]
	s.mu.Unlock()
	if stalled != nil {
		select {
		case <-stalled:
		case <-r.Context().Done():
		}
	}
	selector, err := labels.Parse(query.Get("labelSelector"))
	a := answer{server: s, w: w, r: r, kind: kind, namespace: namespace, selector: selector}
	switch {
	case kind == "" || err != nil:
		a.fail(http.StatusNotFound)
	case code != 0:
		a.fail(code)
	case garbled:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind":"GatewayList","apiVersion":"gateway.networking.k8s.io/v1","items":7}`))
	case r.Method != http.MethodGet:
		a.write(verb, snapshot.Key{Kind: kind, Namespace: namespace, Name: name}, part, content)
	case verb == "get":
		a.get(snapshot.Key{Kind: kind, Namespace: namespace, Name: name})
	case verb == "watch":
		a.watch()
	default:
		a.list()
	}
}

// answer is one request.
type answer struct {
	server    *apiServer
	w         http.ResponseWriter
	r         *http.Request
	kind      snapshot.Kind
	namespace string
	selector  labels.Selector
}

func (a answer) fail(code int) {
	if code == http.StatusBadGateway {
		// It is not the API server that says so.
		http.Error(a.w, "no server is there", code)
		return
	}
	reason := map[int]*apierrors.StatusError{
		http.StatusForbidden:           apierrors.NewForbidden(schema.GroupResource{Resource: string(a.kind)}, "", nil),
		http.StatusUnprocessableEntity: apierrors.NewInvalid(schema.GroupKind{Kind: string(a.kind)}, "", field.ErrorList{field.Required(nil, "")}),
		http.StatusNotFound:            apierrors.NewNotFound(schema.GroupResource{Resource: string(a.kind)}, ""),
	}[code]
	if reason == nil {
		reason = apierrors.NewGenericServerResponse(code, "", schema.GroupResource{}, "", "", 0, false)
	}
	status := reason.Status()
	text, err := runtime.Encode(a.server.codecs.EncoderForVersion(a.begin(false).Serializer, corev1.SchemeGroupVersion), &status)
	if err != nil {
		panic(err)
	}
	a.w.WriteHeader(code)
	_, _ = a.w.Write(text)
}

func (a answer) selected(key snapshot.Key, object snapshot.Object) bool {
	return key.Kind == a.kind && (a.namespace == "" || a.namespace == key.Namespace) && a.selector.Matches(labels.Set(object.GetLabels()))
}

// all are the selected objects, and the version that they are of.
func (a answer) all() (objects []snapshot.Object, version int) {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	for _, key := range slices.SortedFunc(maps.Keys(a.server.objects), snapshot.Key.Compare) {
		if object := a.server.objects[key]; a.selected(key, object) {
			objects = append(objects, object)
		}
	}
	return objects, a.server.version
}

func (a answer) get(key snapshot.Key) {
	a.server.mu.Lock()
	object := a.server.objects[key]
	a.server.mu.Unlock()
	if object == nil {
		a.fail(http.StatusNotFound)
		return
	}
	_, _ = a.w.Write(a.encode(object, a.begin(false)))
}

func (a answer) list() {
	objects, version := a.all()
	encoding := a.begin(false)
	var list runtime.Object
	if a.metadata() {
		all := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{Kind: "PartialObjectMetadataList", APIVersion: "meta.k8s.io/v1"}}
		for _, object := range objects {
			all.Items = append(all.Items, *partial(object))
		}
		list = all
	} else {
		var items []runtime.Object
		for _, object := range objects {
			items = append(items, object)
		}
		var err error
		if list, err = a.server.scheme.New(a.version().WithKind(string(a.kind) + "List")); err == nil {
			err = meta.SetList(list, items)
		}
		if err != nil {
			panic(err)
		}
	}
	l, _ := meta.ListAccessor(list)
	l.SetResourceVersion(strconv.Itoa(version))
	_, _ = a.w.Write(a.encode(list, encoding))
}

func (a answer) watch() {
	query := a.r.URL.Query()
	from, _ := strconv.Atoi(query.Get("resourceVersion"))
	a.server.mu.Lock()
	end, gone := a.server.watches, from < a.server.oldest
	a.server.mu.Unlock()
	stream := a.stream()
	if query.Get("sendInitialEvents") == "true" {
		objects, version := a.all()
		for _, object := range objects {
			stream("ADDED", object)
		}
		from = version
		stream("BOOKMARK", a.bookmark(version))
	} else if gone {
		stream("ERROR", &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusGone, Reason: metav1.StatusReasonExpired, Message: "too old resource version"})
		return
	}
	for {
		a.server.mu.Lock()
		changed := a.server.changed
		var news []happened
		for _, h := range a.server.history {
			if h.at > from && a.selected(h.key, h.object) {
				news = append(news, h)
			}
		}
		from = a.server.version
		a.server.mu.Unlock()
		for _, h := range news {
			stream(h.event, h.object)
		}
		select {
		case <-changed:
		case <-end:
			return
		case <-a.r.Context().Done():
			return
		}
	}
}

// bookmark ends the list at the begin of a watch.
func (a answer) bookmark(version int) snapshot.Object {
	mark, err := a.server.scheme.New(a.version().WithKind(string(a.kind)))
	if err != nil {
		mark = &metav1.PartialObjectMetadata{}
	}
	o := mark.(snapshot.Object)
	o.SetResourceVersion(strconv.Itoa(version))
	o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return o
}

// stream begins a watch, and returns what sends an event.
func (a answer) stream() func(event string, object runtime.Object) {
	encoding := a.begin(true)
	frames := encoding.StreamSerializer.Framer.NewFrameWriter(a.w)
	flush := a.w.(http.Flusher).Flush
	flush()
	return func(event string, object runtime.Object) {
		e := &metav1.WatchEvent{Type: event, Object: runtime.RawExtension{Raw: a.encode(object, encoding)}}
		if err := encoding.StreamSerializer.Encode(e, frames); err == nil {
			flush()
		}
	}
}

// begin chooses the encoding and sends the head.
func (a answer) begin(stream bool) runtime.SerializerInfo {
	mediaType, _, _ := strings.Cut(a.r.Header.Get("Accept"), ",")
	mediaType, _, _ = strings.Cut(mediaType, ";")
	if a.metadata() {
		mediaType = runtime.ContentTypeJSON
	}
	encoding, ok := runtime.SerializerInfoForMediaType(a.server.codecs.SupportedMediaTypes(), mediaType)
	if !ok {
		panic("no encoding for " + a.r.Header.Get("Accept"))
	}
	if stream && mediaType == runtime.ContentTypeProtobuf {
		mediaType += ";stream=watch"
	}
	a.w.Header().Set("Content-Type", mediaType)
	return encoding
}

func (a answer) encode(object runtime.Object, encoding runtime.SerializerInfo) []byte {
	if a.metadata() {
		if o, ok := object.(snapshot.Object); ok {
			object = partial(o)
		}
		text, err := json.Marshal(object)
		if err != nil {
			panic(err)
		}
		return text
	}
	text, err := runtime.Encode(a.server.codecs.EncoderForVersion(encoding.Serializer, a.version()), object.DeepCopyObject())
	if err != nil {
		panic(err)
	}
	return text
}

// metadata reports whether only metadata is asked for.
func (a answer) metadata() bool {
	return strings.Contains(a.r.Header.Get("Accept"), "as=PartialObjectMetadata")
}

func (a answer) version() schema.GroupVersion {
	parts := strings.Split(paths[a.kind], "/")
	version, err := schema.ParseGroupVersion(strings.Join(parts[2:len(parts)-1], "/"))
	if err != nil {
		panic(err)
	}
	return version
}

func partial(object snapshot.Object) *metav1.PartialObjectMetadata {
	m := meta.AsPartialObjectMetadata(object)
	m.TypeMeta = metav1.TypeMeta{Kind: "PartialObjectMetadata", APIVersion: "meta.k8s.io/v1"}
	return m
}

// network is how the client reaches the server, within the memory of a test.
type network struct {
	accepting chan net.Conn
	once      sync.Once
	closed    chan struct{}

	mu      sync.Mutex
	down    bool
	hanging bool
	conns   []net.Conn
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	n.mu.Lock()
	down, hanging := n.down, n.hanging
	client, server := net.Pipe()
	n.conns = append(n.conns, server)
	n.mu.Unlock()
	if hanging {
		_ = server.Close()
		return client, nil
	}
	if !down {
		select {
		case n.accepting <- server:
			return client, nil
		case <-n.closed:
		case <-ctx.Done():
		}
	}
	return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
}

// cut ends all connections; down says that there are no new ones.
func (n *network) cut(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
	for _, c := range n.conns {
		_ = c.Close()
	}
	n.conns = nil
}

// hangUp ends all connections, the present ones and those to come.
func (n *network) hangUp(always bool) {
	n.mu.Lock()
	n.hanging = always
	n.mu.Unlock()
	n.cut(false)
}

// Accept implements net.Listener.
func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.accepting:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (n *network) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

// Addr implements net.Listener.
func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }
