package file

// What one Source reads at most. A document beyond a limit is refused as a whole.
const (
	// maxDocument is the size of one document in bytes: an API server takes 3 MiB
	// in one request, and etcd 1.5 MiB in one value.
	maxDocument = 4 << 20
	// maxTotal is the size of all files together in bytes.
	maxTotal = 64 << 20
	// maxDepth is how deep maps, lists and aliases may nest in a document. The
	// deepest field of any kind is at about 20.
	maxDepth = 64
	// maxValues is how many values a document may hold once its aliases are
	// expanded, so that a few lines cannot stand for billions of them.
	maxValues = 1 << 20
	// maxFindings is how many mistakes are told about one document.
	maxFindings = 50
)
