"""A page that gives one file name two contents: which of them counts."""

from dataclasses import replace

from mirror_syncer.model.page import Page, PublishedPage


def settle_contradictions(page: Page, published: PublishedPage | None) -> Page:
    """
    Return a page on which what is published counts wherever one of several entries still names it.

    Merged indexes list one name from two repositories, in an order of the moment. The first entry counts for a file
    that is new here; for one that is here it would drop a good file, and another one with each change of the order.
    """
    if not page.contradicting or published is None:
        return page
    ours = published.files
    named = {
        file.filename: file
        for file in page.contradicting
        if file.filename in ours and ours[file.filename].sha256 == file.sha256
    }
    return replace(page, files=tuple(named.get(file.filename, file) for file in page.files))
