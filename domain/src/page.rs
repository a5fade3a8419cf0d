//! Pages of lists, as the Terraform Cloud API counts them: numbers from 1, 20 a page unless asked, 100 at most.

/// Which page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    number: usize,
    size: usize,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { number: 1, size: 20 }
    }
}

impl PageRequest {
    /// The page with that number and size, both brought into their bounds.
    pub fn new(number: Option<usize>, size: Option<usize>) -> Self {
        Self { number: number.unwrap_or(1).max(1), size: size.unwrap_or(20).clamp(1, 100) }
    }

    /// How many items stand before this page.
    pub fn skip(self) -> usize {
        (self.number - 1).saturating_mul(self.size)
    }

    /// The page's number, from 1.
    pub fn number(self) -> usize {
        self.number
    }

    /// The most items on the page.
    pub fn size(self) -> usize {
        self.size
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What stands on it.
    pub items: Vec<T>,
    /// What was asked for.
    pub request: PageRequest,
    /// How many items the whole list has.
    pub total: usize,
}

impl<T> Page<T> {
    /// How many pages there are; 1 for an empty list, so that a client's loop ends.
    pub fn pages(&self) -> usize {
        self.total.div_ceil(self.request.size).max(1)
    }

    /// The page before this one, unless this is the first.
    pub fn previous(&self) -> Option<usize> {
        (self.request.number > 1).then(|| (self.request.number - 1).min(self.pages()))
    }

    /// The page after this one, unless this is the last or beyond.
    pub fn next(&self) -> Option<usize> {
        (self.request.number < self.pages()).then(|| self.request.number + 1)
    }

    /// The same page of other items.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), request: self.request, total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn walking_the_pages_meets_every_item_once(total in 0usize..500, size in 0usize..150) {
            let all: Vec<usize> = (0..total).collect();
            let (mut seen, mut number) = (Vec::new(), Some(1));
            while let Some(n) = number {
                let request = PageRequest::new(Some(n), Some(size));
                let items = all.iter().copied().skip(request.skip()).take(request.size()).collect();
                let page = Page { items, request, total };
                seen.extend_from_slice(&page.items);
                number = page.next();
            }
            prop_assert_eq!(seen, all);
        }

        #[test]
        fn no_page_number_overflows(number: Option<usize>, size: Option<usize>) {
            let request = PageRequest::new(number, size);
            for (request, total) in [(request, usize::MAX), (request, 0), (PageRequest::new(Some(usize::MAX), size), 3)] {
                let page = Page { items: Vec::<u8>::new(), request, total };
                let _ = (request.skip(), page.pages(), page.previous(), page.next());
            }
        }
    }
}
