package upstream

// An idle connection stands in two lists: that of its endpoint, from which the
// youngest is taken, and that of the pool, from which the oldest is closed when
// there are too many. The links are part of the connection, so a list
// allocates nothing and takes a connection out of its middle at once.
const (
	byEndpoint = iota
	byPool
	lists
)

type links struct {
	younger, older *Conn
}

type connList struct {
	// kind is the index of this list's links within a connection.
	kind             int
	youngest, oldest *Conn
	len              int
}

func (l *connList) push(c *Conn) {
	c.links[l.kind] = links{older: l.youngest}
	if l.youngest != nil {
		l.youngest.links[l.kind].younger = c
	} else {
		l.oldest = c
	}
	l.youngest = c
	l.len++
}

func (l *connList) remove(c *Conn) {
	at := c.links[l.kind]
	if at.younger != nil {
		at.younger.links[l.kind].older = at.older
	} else {
		l.youngest = at.older
	}
	if at.older != nil {
		at.older.links[l.kind].younger = at.younger
	} else {
		l.oldest = at.younger
	}
	c.links[l.kind] = links{}
	l.len--
}
