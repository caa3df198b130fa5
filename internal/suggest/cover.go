package suggest

import (
	"cmp"
	"math/bits"
	"slices"
)

// block is a rule in the making: each of its rows goes to each of its columns.
type block struct{ rows, cols []int }

// mostClasses bounds the search for blocks that overlap, which compares everything
// with everything.
const mostClasses = 256

// cover finds blocks that together have just the cells of a table, given by the
// sorted columns of each row, and few of them. Three ways are tried: one block for
// all columns with the same rows; one for all rows with the same columns; and the
// largest block first, then the one that adds most to it. Which is the smallest set
// of all is not known in reasonable time.
func cover(table [][]int) []block {
	across := transposed(table)
	rows, cols := classes(table), classes(across)
	best := make([]block, len(cols))
	for i, class := range cols {
		best[i] = block{across[class[0]], class}
	}
	byRow := make([]block, len(rows))
	for i, class := range rows {
		byRow[i] = block{class, table[class[0]]}
	}
	if shorter(byRow, best) {
		best = byRow
	}
	if len(best) > 2 && len(rows) <= mostClasses && len(cols) <= mostClasses {
		if found := greedy(table, rows, cols, len(best)); found != nil {
			best = found
		}
	}
	return best
}

// shorter tells whether there is less to write of a than of b.
func shorter(a, b []block) bool {
	words := func(list []block) (n int) {
		for _, b := range list {
			n += len(b.rows) + len(b.cols)
		}
		return n
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(words(a), words(b))) < 0
}

// transposed turns columns of rows into rows of columns.
func transposed(table [][]int) [][]int {
	width := 0
	for _, cols := range table {
		for _, c := range cols {
			width = max(width, c+1)
		}
	}
	across := make([][]int, width)
	for r, cols := range table {
		for _, c := range cols {
			across[c] = append(across[c], r)
		}
	}
	return across
}

// classes groups rows that are the same; empty ones are left out.
func classes(table [][]int) [][]int {
	order := make([]int, 0, len(table))
	for r := range table {
		if len(table[r]) > 0 {
			order = append(order, r)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(slices.Compare(table[a], table[b]), cmp.Compare(a, b)) })
	var list [][]int
	for i, r := range order {
		if i > 0 && slices.Equal(table[order[i-1]], table[r]) {
			list[len(list)-1] = append(list[len(list)-1], r)
		} else {
			list = append(list, []int{r})
		}
	}
	slices.SortFunc(list, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
	return list
}

// set is a set of small numbers.
type set [mostClasses / 64]uint64

func (s *set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s *set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }
func (s *set) and(o *set) (r set) {
	for i := range s {
		r[i] = s[i] & o[i]
	}
	return r
}

func (s *set) size() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// candidate is a block in terms of classes: no row or column can be added to it.
type candidate struct {
	rows []int
	cols set
}

// greedy takes the block that has most cells which no other has, again and again. It
// gives up, with nil, when that makes as many as there are already.
func greedy(table [][]int, rows, cols [][]int, most int) []block {
	left := reduced(table, rows, cols)
	all := candidates(left, len(cols))
	var found []block
	for {
		best, gain := -1, 0
		for i, c := range all {
			n := 0
			for _, r := range c.rows {
				fresh := left[r].and(&c.cols)
				n += fresh.size()
			}
			if n > gain {
				best, gain = i, n
			}
		}
		if best < 0 {
			return found
		}
		if len(found)+1 >= most {
			return nil
		}
		var b block
		for _, r := range all[best].rows {
			for i := range left[r] {
				left[r][i] &^= all[best].cols[i]
			}
			b.rows = append(b.rows, rows[r]...)
		}
		for c := range cols {
			if all[best].cols.has(c) {
				b.cols = append(b.cols, cols[c]...)
			}
		}
		slices.Sort(b.rows)
		slices.Sort(b.cols)
		found = append(found, b)
	}
}

// reduced is the table in terms of classes.
func reduced(table [][]int, rows, cols [][]int) []set {
	class := make(map[int]int)
	for i, c := range cols {
		class[c[0]] = i
	}
	list := make([]set, len(rows))
	for i, r := range rows {
		for _, c := range table[r[0]] {
			if k, first := class[c]; first {
				list[i].add(k)
			}
		}
	}
	return list
}

// candidates lists the blocks of one row and all rows that have what it has, and of
// one column and all columns that are where it is.
func candidates(table []set, cols int) []candidate {
	var list []candidate
	add := func(want set) {
		c := candidate{}
		for i := range c.cols {
			c.cols[i] = ^uint64(0)
		}
		for r := range table {
			if table[r].and(&want) == want {
				c.rows = append(c.rows, r)
				c.cols = c.cols.and(&table[r])
			}
		}
		list = append(list, c)
	}
	for _, row := range table {
		add(row)
	}
	for col := range cols {
		var one set
		one.add(col)
		add(one)
	}
	return list
}
