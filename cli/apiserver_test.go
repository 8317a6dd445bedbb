package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/sluicegateway/sluice/api/v1alpha1"
)

// apiServer keeps objects as an API server does, without schemas, owners of
// fields or rights: what a controller reads, watches and writes comes back. An
// object's place is the path of its URL.
type apiServer struct {
	mu      sync.Mutex
	version int
	objects map[string]object
	changed chan struct{} // closed with each change
	history []event
}

type object = map[string]any

// known are the kinds that arrive as protobuf or are listed whole.
var known = runtime.NewScheme()

func init() {
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme, discoveryv1.AddToScheme, gatewayv1.Install, v1alpha1.AddToScheme} {
		if err := add(known); err != nil {
			panic(err)
		}
	}
}

type event struct {
	Type   string `json:"type"`
	Object object `json:"object"`
	path   string
}

// serveAPI runs an API server at the address, which has the objects of the files
// at the start.
//
//	apiserver ADDRESS FILE…
func serveAPI(args []string) int {
	s := &apiServer{objects: map[string]object{}, changed: make(chan struct{})}
	for _, file := range args[1:] {
		content, err := os.ReadFile(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		for document := range strings.SplitSeq(string(content), "\n---\n") {
			var o object
			if err := yaml.Unmarshal([]byte(document), &o); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			s.put(placeOf(o), o)
		}
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe(args[0], s))
	return 1
}

// placeOf is the path of an object that a file has.
func placeOf(o object) string {
	group := "/apis/" + o["apiVersion"].(string)
	if o["apiVersion"] == "v1" {
		group = "/api/v1"
	}
	if namespace := metadata(o)["namespace"]; namespace != nil {
		group += fmt.Sprint("/namespaces/", namespace)
	}
	resource := strings.ToLower(o["kind"].(string)) + "s"
	return fmt.Sprintf("%s/%s/%s", group, strings.Replace(resource, "classs", "classes", 1), metadata(o)["name"])
}

func metadata(o object) object {
	m, _ := o["metadata"].(object)
	if m == nil {
		m = object{}
		o["metadata"] = m
	}
	return m
}

// put stores a copy of the object, and tells those who watch.
func (s *apiServer) put(path string, o object) object {
	s.version++
	kind := "ADDED"
	old := s.objects[path]
	if old != nil {
		kind = "MODIFIED"
	}
	o = merged(object{}, o)
	m := metadata(o)
	m["resourceVersion"] = strconv.Itoa(s.version)
	m["uid"], m["creationTimestamp"] = "uid-"+path, "2026-01-01T00:00:00Z"
	if m["generation"] == nil {
		m["generation"] = 1
	}
	s.objects[path] = o
	s.tell(event{kind, o, path})
	return o
}

func (s *apiServer) tell(e event) {
	s.history = append(s.history, e)
	close(s.changed)
	s.changed = make(chan struct{})
}

// merged is the base with the patch merged into it (RFC 7396); neither is changed.
func merged(base, patch object) object {
	next := maps.Clone(base)
	for name, value := range patch {
		switch v := value.(type) {
		case nil:
			delete(next, name)
		case object:
			inner, _ := next[name].(object)
			if inner == nil {
				inner = object{}
			}
			next[name] = merged(inner, v)
		default:
			next[name] = v
		}
	}
	return next
}

// edited is the object after a JSON patch (RFC 6902) of the parents of a route.
func edited(stored object, r *http.Request) object {
	var operations []struct {
		Op, Path string
		Value    any
	}
	if err := json.NewDecoder(r.Body).Decode(&operations); err != nil {
		panic(err)
	}
	status, _ := stored["status"].(object)
	parents, _ := status["parents"].([]any)
	parents = slices.Clone(parents)
	for _, o := range operations {
		at, _ := strconv.Atoi(strings.TrimPrefix(o.Path, "/status/parents/"))
		switch {
		case o.Path == "/metadata/resourceVersion":
		case o.Path == "/status":
			parents, _ = o.Value.(object)["parents"].([]any)
		case o.Op == "remove":
			parents = slices.Delete(parents, at, at+1)
		case o.Op == "add":
			parents = append(parents, o.Value)
		}
	}
	return merged(stored, object{"status": object{"parents": parents}})
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.URL.Path, "/status")
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, query := s.objects[path], r.URL.Query()
	switch {
	case r.Method == http.MethodGet && query.Get("watch") != "":
		s.watch(w, r)
	case r.Method == http.MethodGet && stored != nil:
		answer(w, http.StatusOK, stored)
	case r.Method == http.MethodGet && isCollection(path):
		s.list(w, r)
	case r.Method == http.MethodPost:
		o := body(r)
		path += "/" + metadata(o)["name"].(string)
		if s.objects[path] != nil {
			refuse(w, http.StatusConflict, "AlreadyExists")
			return
		}
		answer(w, http.StatusCreated, s.put(path, o))
	case r.Method == http.MethodPatch && (stored != nil || strings.Contains(r.Header.Get("Content-Type"), "apply")):
		if stored == nil {
			stored = object{}
		}
		if strings.Contains(r.Header.Get("Content-Type"), "json-patch") {
			answer(w, http.StatusOK, s.put(path, edited(stored, r)))
			return
		}
		answer(w, http.StatusOK, s.put(path, merged(stored, body(r))))
	case stored == nil:
		refuse(w, http.StatusNotFound, "NotFound")
	case r.Method == http.MethodPut:
		o := body(r)
		if metadata(o)["resourceVersion"] != metadata(stored)["resourceVersion"] {
			refuse(w, http.StatusConflict, "Conflict")
			return
		}
		answer(w, http.StatusOK, s.put(path, o))
	case r.Method == http.MethodDelete:
		delete(s.objects, path)
		s.version++
		s.tell(event{"DELETED", stored, path})
		answer(w, http.StatusOK, stored)
	}
}

// isCollection tells /api/v1/pods and /apis/G/V/namespaces/N/pods from an object.
func isCollection(path string) bool {
	rest := strings.TrimPrefix(path, "/api/v1/")
	if parts := strings.SplitN(path, "/", 5); parts[1] == "apis" && len(parts) == 5 {
		rest = parts[4]
	}
	n := strings.Count(rest, "/")
	return n == 0 || n == 2 && strings.HasPrefix(rest, "namespaces/")
}

// within reports whether an object of the path is in the collection, which is
// that of a namespace or of all.
func within(path, collection string) bool {
	if strings.HasPrefix(path, collection+"/") && !strings.Contains(path[len(collection)+1:], "/") {
		return true
	}
	i := strings.LastIndex(collection, "/")
	inNamespace, ok := strings.CutPrefix(path, collection[:i]+"/namespaces/")
	_, resource, _ := strings.Cut(inNamespace, "/")
	return ok && strings.HasPrefix(resource, collection[i+1:]+"/")
}

func (s *apiServer) list(w http.ResponseWriter, r *http.Request) {
	list := listOf(r.URL.Path)
	metadata(list)["resourceVersion"] = strconv.Itoa(s.version)
	items := []object{}
	for _, path := range slices.Sorted(maps.Keys(s.objects)) {
		if within(path, r.URL.Path) {
			items = append(items, as(r, s.objects[path]))
		}
	}
	list["items"] = items
	answer(w, http.StatusOK, as(r, list))
}

// listOf is an empty list of what the collection has.
func listOf(collection string) object {
	for kind := range known.AllKnownTypes() {
		name := strings.ToLower(kind.Kind)
		resources := []string{name, name + "s", name + "es", strings.TrimSuffix(name, "y") + "ies"}
		if strings.Contains(collection, path.Join(kind.Group, kind.Version)+"/") && slices.Contains(resources, path.Base(collection)) {
			return object{"kind": kind.Kind + "List", "apiVersion": kind.GroupVersion().String()}
		}
	}
	return object{"kind": "List", "apiVersion": "v1"} // read as metadata
}

// as is the object in the form that the request asks for: all, or its metadata.
func as(r *http.Request, o object) object {
	if !strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadata") {
		return o
	}
	kind := "PartialObjectMetadata"
	if o["items"] != nil {
		kind += "List"
	}
	return merged(o, object{"kind": kind, "apiVersion": "meta.k8s.io/v1", "spec": nil, "data": nil})
}

// watch tells of the changes after the version that the request names, or first
// of all that there is.
func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Query().Get("sendInitialEvents") != "" {
		refuse(w, http.StatusUnprocessableEntity, "Invalid") // as servers do that cannot
		return
	}
	since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	for next := 0; ; {
		for ; next < len(s.history); next++ {
			e := s.history[next]
			version, _ := strconv.Atoi(metadata(e.Object)["resourceVersion"].(string))
			if version > since && within(e.path, r.URL.Path) {
				e.Object = as(r, e.Object)
				_ = json.NewEncoder(w).Encode(e)
			}
		}
		_ = http.NewResponseController(w).Flush()
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		s.mu.Lock()
		if r.Context().Err() != nil {
			return
		}
	}
}

func body(r *http.Request) object {
	content, _ := io.ReadAll(r.Body)
	if strings.Contains(r.Header.Get("Content-Type"), "protobuf") {
		typed, _, err := protobuf.NewSerializer(known, known).Decode(content, nil, nil)
		if err == nil {
			content, err = json.Marshal(typed)
		}
		if err != nil {
			panic(fmt.Sprintf("%s %s: %v", r.Method, r.URL, err))
		}
	}
	var o object
	if err := yaml.Unmarshal(content, &o); err != nil {
		panic(fmt.Sprintf("%s %s: %v: %.100q", r.Method, r.URL, err, content))
	}
	return o
}

func answer(w http.ResponseWriter, status int, o object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(o)
}

func refuse(w http.ResponseWriter, status int, reason string) {
	answer(w, status, object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status, "message": reason})
}
