package v1alpha1

// What Sluice writes on the objects that it makes.
const (
	// LabelManagedBy has the value [ManagedBySluice] on each object that Sluice
	// makes for a Gateway; objects without it are never changed or removed.
	LabelManagedBy  = "app.kubernetes.io/managed-by"
	ManagedBySluice = "sluice"

	// AnnotationController is on the same objects. It names the controller that made
	// them, as GatewayClasses do, because a cluster may have several installations.
	AnnotationController = "sluice.dev/controller"

	// LabelReplica has the value "true" on the Pods that serve, and on the Leases
	// in which they say what they serve.
	LabelReplica = "sluice.dev/replica"
	// AnnotationServing is what a replica serves, in JSON, on its Lease.
	AnnotationServing = "sluice.dev/serving"
)
