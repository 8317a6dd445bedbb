package proxy

// Memory is how much is left of what the process may use.
type Memory int32

// The states of memory.
const (
	MemoryPlenty Memory = iota
	// MemoryTight: connections end with the request that they carry.
	MemoryTight
	// MemoryFull: requests are refused with 503.
	MemoryFull
)

// String says it for the log.
func (m Memory) String() string {
	switch m {
	case MemoryTight:
		return "tight: connections end with the request that they carry"
	case MemoryFull:
		return "full: requests are refused until some is free"
	}
	return "sufficient again"
}

// memory is the state in force.
func (s *Shared) memory() Memory { return Memory(s.Memory.Load()) }
