package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// PlaceOptions are what a Placer works with.
type PlaceOptions struct {
	Client *Client
	Source *Source
	// Controller is the name in the GatewayClasses that Sluice serves.
	Controller gatewayv1.GatewayController
	// HostNetwork says that Gateways need nothing. What was made for them when they
	// did goes.
	HostNetwork bool
	Log         *slog.Logger
	// Refused is called with why the cluster did not take what a Gateway needs, and
	// with "" when it has after all. The calls for one Gateway follow each other.
	Refused func(gateway snapshot.Key, why string)
}

// Placer puts into the cluster what Gateways need, and removes what they need no
// more, while its replica leads. It touches only what Sluice made for that
// Gateway. Its methods may be called from any goroutine.
type Placer struct {
	options PlaceOptions
	writer  *writer

	mu      sync.Mutex
	wants   map[snapshot.Key]provision.Wanted
	places  map[snapshot.Key]snapshot.Key // the Gateway that wants an object
	refused map[snapshot.Key]string
}

// NewPlacer makes a Placer that has nothing to do.
func NewPlacer(options PlaceOptions) *Placer {
	p := &Placer{
		options: options, wants: map[snapshot.Key]provision.Wanted{},
		places: map[snapshot.Key]snapshot.Key{}, refused: map[snapshot.Key]string{},
	}
	p.writer = newWriter(p.write)
	return p
}

// Set says what a Gateway needs. What is wanted must not be changed later.
func (p *Placer) Set(gateway snapshot.Key, wanted provision.Wanted) {
	exists := p.options.Source.Latest(gateway) != nil
	p.mu.Lock()
	for _, key := range keysOf(p.wants[gateway]) {
		delete(p.places, key)
	}
	for _, key := range keysOf(wanted) {
		p.places[key] = gateway
	}
	p.wants[gateway] = wanted
	if !exists && wanted.Service == nil {
		delete(p.wants, gateway)
	}
	p.mu.Unlock()
	p.writer.wish(gateway)
}

// Seen says that an object has changed at the API server.
func (p *Placer) Seen(key snapshot.Key) {
	if key.Kind != snapshot.KindService && key.Kind != snapshot.KindEndpointSlice {
		return
	}
	p.mu.Lock()
	gateway, wanted := p.places[key]
	p.mu.Unlock()
	if wanted {
		p.writer.add(gateway)
	} else if key.Kind == snapshot.KindService {
		p.writer.add(key) // perhaps one that nobody wants any more
	}
}

// Lead begins or ends the time in which this replica writes. At its begin
// everything is compared.
func (p *Placer) Lead(leads bool) {
	p.writer.lead(leads)
	if !leads {
		return
	}
	for _, service := range p.options.Source.all(snapshot.KindService) {
		p.Seen(snapshot.KeyOf(service))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for gateway := range p.wants {
		p.writer.add(gateway)
	}
}

// Run works until ctx ends.
func (p *Placer) Run(ctx context.Context) { p.writer.run(ctx) }

// write brings what exists for a Gateway to what it needs.
func (p *Placer) write(ctx context.Context, key snapshot.Key) (wrote bool, again time.Duration) {
	if key.Kind == snapshot.KindService {
		if gateway := gatewayOf(p.options.Source.Latest(key), p.options.Controller); gateway.Name != "" {
			p.writer.add(gateway)
		}
		return false, 0
	}
	p.mu.Lock()
	wanted, known := p.wants[key]
	p.mu.Unlock()
	if !known && !p.options.HostNetwork && !p.foreign(key) {
		p.answer(key, "") // what a Gateway owned goes with it, by Kubernetes itself
		return false, 0
	}
	now := placing{ctx: ctx, client: p.options.Client, source: p.options.Source, controller: p.options.Controller}
	err := now.bring(wanted)
	if err == nil {
		err = now.clear(key, wanted)
	}
	if ctx.Err() != nil {
		return now.wrote, 0
	}
	return now.wrote, p.report(key, err)
}

// foreign reports whether a Gateway is there and of a class of another controller.
// What cannot be read, or has not been yet, is not taken for foreign: with a
// Service its address goes.
func (p *Placer) foreign(key snapshot.Key) bool {
	gateway, ok := p.options.Source.Latest(key).(*gatewayv1.Gateway)
	if !ok {
		return false
	}
	class, ok := p.options.Source.Latest(snapshot.Key{Kind: snapshot.KindGatewayClass, Name: string(gateway.Spec.GatewayClassName)}).(*gatewayv1.GatewayClass)
	return ok && class.Spec.ControllerName != p.options.Controller
}

// tolerated is how often a write may fail for passing reasons until the Gateway's
// status tells of it.
const tolerated = 5

// report tells the Gateway's status how it went, and says when to try again.
func (p *Placer) report(gateway snapshot.Key, err error) time.Duration {
	switch verdict := verdictOn(err); {
	case verdict == fine:
		p.answer(gateway, "")
	case errors.Is(err, errLeaving), verdict == gone: // Seen tells when there is room, if ever
	case errors.Is(err, errForeign), verdict == forbidden, verdict == refused:
		p.answer(gateway, firstLine(err))
		return resigned
	default:
		if p.writer.queue.NumRequeues(gateway) >= tolerated {
			p.answer(gateway, firstLine(err))
		}
		return backoff
	}
	return 0
}

// answer passes on what the cluster says of the Gateway's needs, if it is new.
func (p *Placer) answer(gateway snapshot.Key, why string) {
	p.mu.Lock()
	before := p.refused[gateway]
	if p.refused[gateway] = why; why == "" {
		delete(p.refused, gateway)
	}
	p.mu.Unlock()
	if before == why {
		return
	}
	if why != "" {
		p.options.Log.Warn("the cluster does not take what a Gateway needs", "gateway", gateway.String(), "error", why)
	}
	p.options.Refused(gateway, why)
}

// placing is one look at what a Gateway needs.
type placing struct {
	ctx    context.Context
	client *Client
	source *Source
	// controller is what is placed for, and what is cleared.
	controller gatewayv1.GatewayController
	wrote      bool
}

var (
	errForeign = errors.New("exists and is not Sluice's for this Gateway; remove or rename it, or give the Gateway another name")
	// errLeaving says that an object of this name has to go before it can be made anew.
	errLeaving = errors.New("is about to go")
)

// bring applies the Service and then its slices, which it owns.
func (p *placing) bring(wanted provision.Wanted) error {
	if wanted.Service == nil {
		return nil
	}
	service, err := p.apply(wanted.Service)
	if err != nil {
		return err
	}
	for _, slice := range wanted.Slices {
		slice = slice.DeepCopy()
		slice.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: string(snapshot.KindService), Name: service.GetName(), UID: service.GetUID(), Controller: new(true),
		}}
		if _, err := p.apply(slice); err != nil {
			return err
		}
	}
	return nil
}

// apply writes an object where it is not as it is wanted, and returns it as it is.
func (p *placing) apply(want snapshot.Object) (snapshot.Object, error) {
	key := snapshot.KeyOf(want)
	have, applied := p.source.latest(key)
	if have != nil {
		if err := p.claim(have, want); err != nil {
			return nil, err
		}
	}
	fields, err := p.content(want)
	if err != nil {
		return nil, err
	}
	if have != nil {
		current, err := contentOf(have)
		if err != nil || says(fields, current, applied) {
			return have, err
		}
	}
	p.wrote = true
	if err := p.renumber(have, want); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	// What was not seen yet is not taken over: it is somebody else's.
	seen := have != nil
	have, err = p.client.Apply(p.ctx, key, fields, "", seen)
	switch {
	case !seen && apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict):
		return nil, fmt.Errorf("%s %w", key, errForeign)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return have, nil
}

// renumber gives ports of a Service the numbers back that somebody has changed. To
// apply them would add ports with the names of others.
func (p *placing) renumber(have, want snapshot.Object) error {
	service, ok := have.(*corev1.Service)
	if !ok {
		return nil
	}
	edits := []Operation{{Op: "replace", Path: "/metadata/resourceVersion", Value: service.ResourceVersion}}
	for _, port := range want.(*corev1.Service).Spec.Ports {
		i := slices.IndexFunc(service.Spec.Ports, func(other corev1.ServicePort) bool { return other.Name == port.Name })
		if i >= 0 && service.Spec.Ports[i].Port != port.Port {
			edits = append(edits, Operation{Op: "replace", Path: fmt.Sprintf("/spec/ports/%d/port", i), Value: port.Port})
		}
	}
	if len(edits) == 1 {
		return nil
	}
	_, err := p.client.Edit(p.ctx, snapshot.KeyOf(want), edits, "")
	return err
}

// content is what is applied of an object.
func (p *placing) content(want snapshot.Object) (content, error) {
	marked := want.DeepCopyObject().(snapshot.Object)
	annotations := maps.Clone(want.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.AnnotationController] = string(p.controller)
	marked.SetAnnotations(annotations)
	fields, err := contentOf(marked)
	for _, name := range []string{"apiVersion", "kind", "status"} {
		delete(fields, name)
	}
	return fields, err
}

// claim reports an error where an object is not Sluice's or cannot be kept. One whose
// owner was replaced by another of the same name goes with the owner; it is
// deleted because that may take a while.
func (p *placing) claim(have, want snapshot.Object) error {
	key := snapshot.KeyOf(have)
	owner, wanted := metav1.GetControllerOf(have), metav1.GetControllerOf(want)
	switch {
	case !madeBySluice(have) || owner == nil || wanted == nil || owner.APIVersion != wanted.APIVersion || owner.Kind != wanted.Kind || owner.Name != wanted.Name:
		return fmt.Errorf("%s %w", key, errForeign)
	case have.GetDeletionTimestamp() != nil:
		return fmt.Errorf("%s %w", key, errLeaving)
	case owner.UID != wanted.UID:
		if err := p.delete(have); err != nil {
			return err
		}
		return fmt.Errorf("%s %w", key, errLeaving)
	}
	return nil
}

// clear deletes what was made for the Gateway and is wanted no more.
func (p *placing) clear(gateway snapshot.Key, wanted provision.Wanted) error {
	keep := keysOf(wanted)
	services := map[string]bool{}
	for _, service := range p.source.all(snapshot.KindService) {
		if gatewayOf(service, p.controller) != gateway {
			continue
		}
		services[service.GetName()] = true
		if slices.Contains(keep, snapshot.KeyOf(service)) {
			continue
		}
		if err := p.delete(service); err != nil {
			return err
		}
	}
	for _, slice := range p.source.all(snapshot.KindEndpointSlice) {
		if slice.GetNamespace() != gateway.Namespace || !services[serviceOf(slice, p.controller)] || slices.Contains(keep, snapshot.KeyOf(slice)) {
			continue
		}
		if err := p.delete(slice); err != nil {
			return err
		}
	}
	return nil
}

func (p *placing) delete(object snapshot.Object) error {
	if object.GetDeletionTimestamp() != nil {
		return nil
	}
	p.wrote = true
	if err := p.client.Delete(p.ctx, object); verdictOn(err) > gone {
		return fmt.Errorf("%s: %w", snapshot.KeyOf(object), err)
	}
	return nil
}

func keysOf(wanted provision.Wanted) []snapshot.Key {
	var keys []snapshot.Key
	if wanted.Service != nil {
		keys = append(keys, snapshot.KeyOf(wanted.Service))
	}
	for _, slice := range wanted.Slices {
		keys = append(keys, snapshot.KeyOf(slice))
	}
	return keys
}

func madeBySluice(object snapshot.Object) bool {
	return object.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBySluice
}

// gatewayOf is the Gateway that this controller made the Service for; empty if it
// did not make it, or there is none.
func gatewayOf(service snapshot.Object, controller gatewayv1.GatewayController) snapshot.Key {
	if service == nil || !madeBy(controller, service) {
		return snapshot.Key{}
	}
	owner := metav1.GetControllerOf(service)
	if owner == nil || owner.Kind != string(snapshot.KindGateway) || owner.APIVersion != gatewayv1.GroupVersion.String() {
		return snapshot.Key{}
	}
	return snapshot.Key{Kind: snapshot.KindGateway, Namespace: service.GetNamespace(), Name: owner.Name}
}

// serviceOf is the name of the Service that this controller made the slice for;
// empty if it did not make it.
func serviceOf(slice snapshot.Object, controller gatewayv1.GatewayController) string {
	owner := metav1.GetControllerOf(slice)
	if !madeBy(controller, slice) || owner == nil || owner.Kind != string(snapshot.KindService) || owner.Name != slice.GetLabels()[discoveryv1.LabelServiceName] {
		return ""
	}
	return owner.Name
}

// madeBy tells what one installation of Sluice made from what another made, under
// another name.
func madeBy(controller gatewayv1.GatewayController, object snapshot.Object) bool {
	return madeBySluice(object) && object.GetAnnotations()[v1alpha1.AnnotationController] == string(controller)
}
