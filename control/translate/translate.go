// Package translate turns objects into the configuration of the data plane,
// their statuses, and diagnostics for the person who wrote them.
//
// It is a pure function of a snapshot and of what the data plane reported last:
// no clock, no network, no log. It is incremental: the result for each object
// is kept with the names of all that was read for it, those that were not found
// included, and is made anew only when one of these changes.
package translate

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// Options are what the translation depends on beside the objects.
type Options struct {
	// ControllerName is the spec.controllerName of the GatewayClasses to serve.
	ControllerName gatewayv1.GatewayController
	// AllowExternalName allows backendRefs to Services of type ExternalName,
	// which lets who may write a Service reach whatever the data plane reaches
	// (CVE-2021-25740).
	AllowExternalName bool
	// HostAddresses are what a Gateway without spec.addresses reports.
	HostAddresses []netip.Addr
	// Version is that of the configuration in force before the first update.
	Version uint64
	// Cluster is what only a cluster has; nil where there is none.
	Cluster *Cluster
}

// Translator keeps the translation of a snapshot and follows its changes. It is
// for one goroutine; the Views that it returns are for any number.
type Translator struct {
	options  Options
	snapshot *snapshot.Snapshot
	graph    *graph

	gateways     map[snapshot.Key]*gateway
	terms        map[snapshot.Key]*terms // by Gateway
	sets         map[snapshot.Key]*listenerSet
	joined       map[snapshot.Key]joined // by ListenerSet
	joins        map[snapshot.Key]joins  // by Gateway
	ports        map[portKey]*port
	conflicts    map[string]conflict             // by listener
	sockets      map[portKey]*sockets            // with HTTP listeners
	bundles      map[snapshot.Key]bundle         // by ConfigMap, as far as parsed
	certificates map[snapshot.Key]*certificate   // by Secret, as far as parsed
	firsts       map[snapshot.Key]firsts         // by the bucket of the policies on a target
	bindings     map[snapshot.Key]*attach.Parent // by Gateway and ListenerSet
	routes       map[snapshot.Key]*route
	rivals       map[string]*rivals   // by listener
	attached     map[string]int       // routes by listener
	used         counter[backendName] // rules by backend
	backends     map[snapshot.Key]backendName
	granted      counter[snapshot.Key]                      // users by ReferenceGrant
	leads        counter[lead]                              // routes by Gateway and what they lead to
	leadsTo      map[snapshot.Key]map[snapshot.Key]struct{} // Gateways by that

	places   map[snapshot.Key]*place          // by Gateway; only in a cluster
	opened   map[snapshot.Key]opened          // by Gateway and ListenerSet
	services map[snapshot.Key]*corev1.Service // that Sluice made
	replicas []provision.Replica
	reserve  bool // what this replica serves must be said again

	served served
	view   View
	work   work
}

// Result is what an update changed.
type Result struct {
	// Delta leads the data plane from the configuration before to the one after.
	Delta *config.Delta
	// Statuses are those that changed. An empty one says that nothing is said
	// of the object any more.
	Statuses map[snapshot.Key]status.Status
	// Wanted are the Gateways whose needs in the cluster changed, in order.
	Wanted []snapshot.Key
	// Found are the diagnostics that were not in force before.
	Found []diagnostic.Diagnostic
	// View is everything that is now in force.
	View View
}

// New makes a Translator that has seen no snapshot yet.
func New(options Options) *Translator {
	t := &Translator{
		options:      options,
		snapshot:     snapshot.New(),
		graph:        newGraph(),
		gateways:     map[snapshot.Key]*gateway{},
		terms:        map[snapshot.Key]*terms{},
		sets:         map[snapshot.Key]*listenerSet{},
		joined:       map[snapshot.Key]joined{},
		joins:        map[snapshot.Key]joins{},
		ports:        map[portKey]*port{},
		conflicts:    map[string]conflict{},
		sockets:      map[portKey]*sockets{},
		bundles:      map[snapshot.Key]bundle{},
		certificates: map[snapshot.Key]*certificate{},
		firsts:       map[snapshot.Key]firsts{},
		bindings:     map[snapshot.Key]*attach.Parent{},
		routes:       map[snapshot.Key]*route{},
		rivals:       map[string]*rivals{},
		attached:     map[string]int{},
		used:         counter[backendName]{},
		backends:     map[snapshot.Key]backendName{},
		granted:      counter[snapshot.Key]{},
		leads:        counter[lead]{},
		leadsTo:      map[snapshot.Key]map[snapshot.Key]struct{}{},
		places:       map[snapshot.Key]*place{},
		opened:       map[snapshot.Key]opened{},
		services:     map[snapshot.Key]*corev1.Service{},
		served:       newServed(),
		view:         newView(),
	}
	if options.Cluster != nil {
		t.graph.mark(unit{stageReplica, replicasKey()})
	}
	return t
}

// Update translates the changes that led to the snapshot. The first call takes
// the whole snapshot and ignores changed.
func (t *Translator) Update(s *snapshot.Snapshot, changed []snapshot.Key) Result {
	t.begin(s, changed)

	t.rankPolicies()          // which policies go before others
	t.translateClasses()      // which classes are ours
	t.translateGateways()     // which listeners each Gateway asks for
	t.translateListenerSets() // which listeners ListenerSets add to them
	t.translateServices()     // which Service each Gateway has
	t.translateReplicas()     // what the replicas serve
	t.resolveConflicts()      // which of them cannot be told apart
	t.shareSockets()          // whose ClientPolicy holds where several share a port
	t.publishListeners()      // which are served, and what routes see of them
	t.translateRoutes()       // where routes attach, and what their rules do
	t.translateUnserved()     // what later versions will serve
	t.translateBackends()     // the endpoints behind the rules
	t.settleBackends()        // what to say of Backend objects
	t.settleBackendPolicies() // and of BackendTLSPolicies
	t.settleClientPolicies()  // and of ClientPolicies
	t.reviewGrants()          // which grants nobody uses
	t.placeGateways()         // what each Gateway needs in the cluster
	t.composeDelta()          // what the data plane must be told
	t.settleListenerSets()    // what to say of each ListenerSet, now that all is known
	t.settleGateways()        // and of each Gateway

	return t.finish()
}

// Served takes the data plane's report on a Delta: Gateways and listeners are
// Programmed as far as it says so. The result has no change of the configuration.
func (t *Translator) Served(report config.Report) Result {
	t.open()
	t.work.delta = &config.Delta{Version: t.view.version}
	t.takeReport(report)
	t.publishServing()
	t.settleListenerSets()
	t.settleGateways()
	return t.finish()
}

// View is everything in force after the last update.
func (t *Translator) View() View { return t.view }
