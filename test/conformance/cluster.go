package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/file"
)

const controllerName = "sluice.dev/gateway-controller"

// cluster is an API server with Sluice as a controller: objects go in, and
// statuses come back. It is the control.Source of that controller.
type cluster struct {
	scheme  *runtime.Scheme
	store   client.WithWatch
	control *control.Control
	changes chan snapshot.Change
	// applied has an element while there may be statuses to write.
	applied chan struct{}
	files   string // the folder of what pods mount

	mu        sync.Mutex // held for a request, and while statuses are written
	pods      *pods
	waiting   []*appsv1.Deployment                // for what they mount
	addresses map[types.NamespacedName]netip.Addr // of Gateways that name none
}

// newCluster starts an empty cluster that ends with the test.
func newCluster(t *testing.T, dataPlane control.DataPlane) *cluster {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c := &cluster{
		scheme: scheme,
		store: fake.NewClientBuilder().WithScheme(scheme).
			WithStatusSubresource(&gatewayv1.GatewayClass{}, &gatewayv1.Gateway{}, &gatewayv1.ListenerSet{},
				&gatewayv1.HTTPRoute{}, &gatewayv1.GRPCRoute{}, &gatewayv1.BackendTLSPolicy{}).Build(),
		changes:   make(chan snapshot.Change),
		applied:   make(chan struct{}, 1),
		files:     t.TempDir(),
		pods:      newPods(t),
		addresses: map[types.NamespacedName]netip.Addr{},
	}
	c.control = c.newControl(dataPlane)
	c.run(t)
	return c
}

// client is what the suite talks to.
func (c *cluster) client() client.WithWatch {
	return interceptor.NewClient(c.store, interceptor.Funcs{Create: c.create, Update: c.update, Patch: c.patch, Delete: c.delete})
}

func (c *cluster) create(ctx context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	admitted, err := c.admit(ctx, object)
	if err != nil {
		return err
	}
	if err := c.add(ctx, admitted); err != nil {
		return err
	}
	return c.store.Get(ctx, client.ObjectKeyFromObject(object), object)
}

func (c *cluster) add(ctx context.Context, admitted client.Object) error {
	admitted.SetGeneration(1)
	admitted.SetCreationTimestamp(metav1.Now().Rfc3339Copy())
	if err := c.store.Create(ctx, admitted); err != nil {
		return err
	}
	return c.follow(ctx, admitted)
}

func (c *cluster) update(ctx context.Context, _ client.WithWatch, object client.Object, _ ...client.UpdateOption) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.replace(ctx, object, object)
}

// patch takes the merge patches that the suite sends.
func (c *cluster) patch(ctx context.Context, _ client.WithWatch, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if patch.Type() != types.MergePatchType {
		return apierrors.NewBadRequest(fmt.Sprintf("patches of type %s are not simulated", patch.Type()))
	}
	difference, err := patch.Data(object)
	if err != nil {
		return err
	}
	old, err := c.get(ctx, object)
	if err != nil {
		return err
	}
	text, err := json.Marshal(old)
	if err != nil {
		return err
	}
	if text, err = jsonpatch.MergePatch(text, difference); err != nil {
		return err
	}
	patched := reflect.New(reflect.TypeOf(old).Elem()).Interface().(client.Object)
	if err := json.Unmarshal(text, patched); err != nil {
		return err
	}
	return c.replace(ctx, patched, object)
}

// replace stores the next version of an object, and answers with what is stored.
func (c *cluster) replace(ctx context.Context, next, answer client.Object) error {
	admitted, err := c.admit(ctx, next)
	if err != nil {
		return err
	}
	old, err := c.get(ctx, next)
	if err != nil {
		return err
	}
	admitted.SetResourceVersion(next.GetResourceVersion())
	admitted.SetCreationTimestamp(old.GetCreationTimestamp())
	admitted.SetGeneration(old.GetGeneration() + 1)
	if err := c.store.Update(ctx, admitted); err != nil {
		return err
	}
	if err := c.follow(ctx, admitted); err != nil {
		return err
	}
	return c.store.Get(ctx, client.ObjectKeyFromObject(next), answer)
}

func (c *cluster) delete(ctx context.Context, _ client.WithWatch, object client.Object, _ ...client.DeleteOption) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, err := c.get(ctx, object)
	if err != nil {
		return err
	}
	return c.remove(ctx, old)
}

func (c *cluster) remove(ctx context.Context, old client.Object) error {
	if err := c.store.Delete(ctx, old); err != nil {
		return err
	}
	c.tell(snapshot.Change{Key: snapshot.KeyOf(old)})
	if service, ok := old.(*corev1.Service); ok {
		return client.IgnoreNotFound(c.remove(ctx, newSlice(service)))
	}
	return nil
}

// get is the object as it is stored, in its Go type.
func (c *cluster) get(ctx context.Context, object client.Object) (client.Object, error) {
	stored, err := c.blank(object)
	if err != nil {
		return nil, err
	}
	return stored, c.store.Get(ctx, client.ObjectKeyFromObject(object), stored)
}

// blank is an empty object of the same kind, in its Go type.
func (c *cluster) blank(object client.Object) (client.Object, error) {
	gvk, err := apiutil.GVKForObject(object, c.scheme)
	if err != nil {
		return nil, err
	}
	empty, err := c.scheme.New(gvk)
	if err != nil {
		return nil, err
	}
	empty.GetObjectKind().SetGroupVersionKind(gvk)
	return empty.(client.Object), nil
}

// admit is the object as the API server would store it: validated, with defaults,
// and in its Go type. What the server adds is left out.
func (c *cluster) admit(ctx context.Context, object client.Object) (client.Object, error) {
	admitted, err := c.blank(object)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(bare(object, admitted))
	if err != nil {
		return nil, err
	}
	if snapshot.KindOf(admitted) == "" {
		return admitted, json.Unmarshal(text, admitted)
	}
	contents, err := file.Load(ctx, file.Options{Paths: []string{file.Stdin}, Stdin: bytes.NewReader(text)})
	if err != nil {
		return nil, err
	}
	key := snapshot.Key{Kind: snapshot.KindOf(admitted), Namespace: object.GetNamespace(), Name: object.GetName()}
	for _, change := range contents.Changes {
		if change.Key == key {
			return change.Object.DeepCopyObject().(client.Object), nil
		}
	}
	return nil, apierrors.NewBadRequest(fmt.Sprintf("%s was refused: %v", key, contents.Diagnostics))
}

// bare is the object as someone would write it into a file.
func bare(object, like client.Object) client.Object {
	written := object.DeepCopyObject().(client.Object)
	written.GetObjectKind().SetGroupVersionKind(like.GetObjectKind().GroupVersionKind())
	written.SetResourceVersion("")
	written.SetGeneration(0)
	written.SetCreationTimestamp(metav1.Time{})
	return written
}

// follow does what happens in a cluster after an object was stored.
func (c *cluster) follow(ctx context.Context, stored client.Object) error {
	if snapshot.KindOf(stored) != "" {
		c.tell(snapshot.Change{Key: snapshot.KeyOf(stored), Object: c.withAddress(stored)})
	}
	switch o := stored.(type) {
	case *appsv1.Deployment:
		return c.deploy(ctx, o)
	case *corev1.Service:
		return c.connect(ctx, o)
	case *corev1.Secret, *corev1.ConfigMap:
		return c.deployWaiting(ctx)
	}
	return nil
}
