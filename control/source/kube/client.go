// Package kube is the API server as Sluice sees it: objects come in by watches,
// statuses and what Gateways need go out. Nothing else of Sluice knows a client.
//
// It stands on the small packages of client-go only. The clientset, its informers
// and its leader election link and initialise every group of the Kubernetes API,
// which is more than all the rest of a small gateway.
package kube

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// requestTimeout bounds each request that is not a watch.
const requestTimeout = 30 * time.Second

// Client sends requests to an API server. It may be used by any number of goroutines.
type Client struct {
	groups   map[schema.GroupVersion]*rest.RESTClient
	metadata metadata.Interface
	manager  string // owns the fields that are written
	writes   writes
}

// NewClient makes a client of the API server that a kubeconfig file names. Without
// one, it is what KUBECONFIG or ~/.kube/config names, or else the server of the
// cluster that the program runs in. It sends nothing yet. The fields that it writes
// are owned by the controller, so that several may share objects.
func NewClient(kubeconfig, userAgent string, controller gatewayv1.GatewayController) (*Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no way to the API server: %w; name a kubeconfig file, or run in a Pod that has its ServiceAccount's token", err)
	}
	config.UserAgent = userAgent
	return newClient(config, managerOf(controller))
}

// managerOf is the name under which a controller owns fields. The API server takes
// 128 bytes, and names of controllers may be longer.
func managerOf(controller gatewayv1.GatewayController) string {
	if len(controller) > validation.FieldManagerMaxLength {
		return fmt.Sprintf("sluice-%x", sha256.Sum256([]byte(controller)))
	}
	return string(controller)
}

// silence quiets client-go, for all of the process. What matters of its words is
// logged here, once; it would say the same for each kind and each attempt.
var silence = sync.OnceFunc(func() { klog.SetSlogLogger(slog.New(slog.DiscardHandler)) })

func newClient(config *rest.Config, manager string) (*Client, error) {
	silence()
	config.QPS = -1 // The server has priority and fairness of its own.
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	c := &Client{manager: manager, groups: map[schema.GroupVersion]*rest.RESTClient{}}
	codecs := serializer.NewCodecFactory(newScheme()).WithoutConversion()
	for _, k := range kinds {
		if c.groups[k.version] != nil {
			continue
		}
		if c.groups[k.version], err = groupClient(config, k, codecs, transport); err != nil {
			return nil, err
		}
	}
	c.metadata, err = metadata.NewForConfigAndClient(metadata.ConfigFor(config), transport)
	return c, err
}

func groupClient(config *rest.Config, k kind, codecs runtime.NegotiatedSerializer, transport *http.Client) (*rest.RESTClient, error) {
	group := rest.CopyConfig(config)
	group.GroupVersion = &k.version
	group.NegotiatedSerializer = codecs
	group.APIPath = "/apis"
	if k.version.Group == "" {
		group.APIPath = "/api"
	}
	if !k.custom() {
		group.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
		group.ContentType = runtime.ContentTypeProtobuf
	}
	return rest.RESTClientForConfigAndClient(group, transport)
}

// request begins one on an object, or on all of a namespace where it has no name.
func (c *Client) request(verb func(*rest.RESTClient) *rest.Request, key snapshot.Key) (*rest.Request, kind, error) {
	k, ok := kindOf(key.Kind)
	if !ok {
		return nil, kind{}, fmt.Errorf("kind %s is not one that Sluice writes", key.Kind)
	}
	r := verb(c.groups[k.version]).Resource(k.resource).NamespaceIfScoped(key.Namespace, !k.cluster).Timeout(requestTimeout)
	return r, k, nil
}

// Get reads an object. Errors of the API server are those of package
// k8s.io/apimachinery/pkg/api/errors, here and in all other requests.
func (c *Client) Get(ctx context.Context, key snapshot.Key) (snapshot.Object, error) {
	r, k, err := c.request((*rest.RESTClient).Get, key)
	if err != nil {
		return nil, err
	}
	return into(ctx, r.Name(key.Name), k)
}

// Create creates an object.
func (c *Client) Create(ctx context.Context, object snapshot.Object) (snapshot.Object, error) {
	r, k, err := c.request((*rest.RESTClient).Post, snapshot.Key{Kind: snapshot.KindOf(object), Namespace: object.GetNamespace()})
	if err != nil {
		return nil, err
	}
	return c.write(ctx, r.VersionedParams(&metav1.CreateOptions{FieldManager: c.manager}, metav1.ParameterCodec).Body(object), k, "")
}

// Update replaces an object, if it still has the resourceVersion that it is given with.
func (c *Client) Update(ctx context.Context, object snapshot.Object) (snapshot.Object, error) {
	r, k, err := c.request((*rest.RESTClient).Put, snapshot.KeyOf(object))
	if err != nil {
		return nil, err
	}
	return c.write(ctx, r.Name(object.GetName()).VersionedParams(&metav1.UpdateOptions{FieldManager: c.manager}, metav1.ParameterCodec).Body(object), k, "")
}

// Apply applies an object, or a subresource of it, by server-side apply as
// the controller. With force, fields of others are taken over; without it they are a
// conflict. The patch needs neither apiVersion nor kind nor name.
func (c *Client) Apply(ctx context.Context, key snapshot.Key, patch map[string]any, subresource string, force bool) (snapshot.Object, error) {
	k, ok := kindOf(key.Kind)
	if !ok {
		return nil, fmt.Errorf("kind %s is not one that Sluice writes", key.Kind)
	}
	metadata, _ := patch["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
		patch["metadata"] = metadata
	}
	metadata["name"] = key.Name
	patch["apiVersion"], patch["kind"] = k.version.String(), string(k.name)
	return c.patch(ctx, key, types.ApplyYAMLPatchType, patch, subresource, &metav1.PatchOptions{FieldManager: c.manager, Force: &force})
}

// Operation is one of a JSON patch (RFC 6902).
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Edit changes an object, or a subresource of it, by a JSON patch, which leaves
// alone what it does not name, known to Sluice or not. An operation that replaces
// /metadata/resourceVersion makes it fail where the object has another.
func (c *Client) Edit(ctx context.Context, key snapshot.Key, patch []Operation, subresource string) (snapshot.Object, error) {
	return c.patch(ctx, key, types.JSONPatchType, patch, subresource, &metav1.PatchOptions{FieldManager: c.manager})
}

func (c *Client) patch(ctx context.Context, key snapshot.Key, how types.PatchType, patch any, subresource string, options *metav1.PatchOptions) (snapshot.Object, error) {
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	r, k, err := c.request(func(g *rest.RESTClient) *rest.Request { return g.Patch(how) }, key)
	if err != nil {
		return nil, err
	}
	r = r.Name(key.Name).VersionedParams(options, metav1.ParameterCodec).Body(body)
	if subresource != "" {
		r = r.SubResource(subresource)
	}
	return c.write(ctx, r, k, subresource)
}

// Delete deletes an object, if it still is as it is given.
func (c *Client) Delete(ctx context.Context, object snapshot.Object) error {
	key := snapshot.KeyOf(object)
	r, _, err := c.request((*rest.RESTClient).Delete, key)
	if err != nil {
		return err
	}
	same := &metav1.Preconditions{UID: new(object.GetUID()), ResourceVersion: new(object.GetResourceVersion())}
	err = r.Name(key.Name).Body(&metav1.DeleteOptions{Preconditions: same}).Do(ctx).Error()
	c.writes.count(key.Kind, "", err)
	return err
}

func (c *Client) write(ctx context.Context, r *rest.Request, k kind, subresource string) (snapshot.Object, error) {
	object, err := into(ctx, r, k)
	c.writes.count(k.name, subresource, err)
	return object, err
}

func into(ctx context.Context, r *rest.Request, k kind) (snapshot.Object, error) {
	object := k.object()
	if err := r.Do(ctx).Into(object); err != nil {
		return nil, err
	}
	return object, nil
}

// watcher lists and watches a kind: all of it, or Sluice's own replicas.
func (c *Client) watcher(k kind, replicasIn string) *cache.ListWatch {
	if k.replicas {
		return cache.NewFilteredListWatchFromClient(c.groups[k.version], k.resource, replicasIn, selectReplicas)
	}
	return cache.NewFilteredListWatchFromClient(c.groups[k.version], k.resource, metav1.NamespaceAll, func(*metav1.ListOptions) {})
}
