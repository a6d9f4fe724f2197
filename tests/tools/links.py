#!/usr/bin/env python3
"""What the documents name is there: links and their headings, files and folders, tests and other long identifiers."""
import os
import re
import subprocess
import sys

SOURCE = os.environ["TICKBUS_SOURCE"]
TOP = "include|bus|producers|consumers|bench|deploy|tests"
ENDINGS = r"c|h|cpp|hpp|py|md|yaml|yml|proto|gz|pml|json|txt|service"


def tracked():
    done = subprocess.run(["git", "-C", SOURCE, "ls-files"], capture_output=True, text=True)
    if done.returncode != 0:
        print("skipped: not a checkout, so there is no telling which files belong to it")
        sys.exit(77)
    return [path for path in done.stdout.split("\n") if path and os.path.exists(os.path.join(SOURCE, path))]


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def anchors(text):
    """As GitHub makes them of headings."""
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in re.findall(r"(?m)^#+ (.*)$", text)}


def built_tests():
    """Names of tests: many are put together by CMake."""
    names = set()
    for folder, _, files in os.walk(os.path.join(os.environ["TICKBUS_BUILD"], "tests")):
        if "CTestTestfile.cmake" in files:
            with open(os.path.join(folder, "CTestTestfile.cmake"), encoding="utf-8") as f:
                names.update(re.findall(r"(?m)^add_test\(\[?=*\[?\"?(\w+)", f.read()))
    return names


class Tree:
    def __init__(self):
        self.files = set(tracked())
        self.folders = {path[:at.start()] for path in self.files for at in re.finditer("/", path)}
        self.names = {os.path.basename(path) for path in self.files}
        self.words = built_tests()
        for path in self.files:
            if not path.endswith((".md", ".gz")):
                self.words.update(re.findall(r"\w{8,}", read(path)))
                self.words.update(re.findall(r"\w{8,}", path))

    def has(self, path):
        return path.rstrip("/") in self.files | self.folders


def links(tree, document, text):
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(document), path)) if path else document
        if not tree.has(path):
            yield "the link %s leads nowhere" % target
        elif anchor and anchor not in anchors(read(path)):
            yield "the link %s: no such heading" % target


def named_files(tree, document, text):
    text = re.sub(r"\w+://\S+", "", text)
    for path in re.findall(r"(?<![\w/.\-])((?:%s)/[\w./-]*\w)" % TOP, text):
        if not tree.has(path):
            yield "%s is not there" % path
    for path in re.findall(r"`([\w./-]+\.(?:%s))`" % ENDINGS, text):
        beside = os.path.normpath(os.path.join(os.path.dirname(document), path))
        first = path.partition("/")[0]
        ours = "/" not in path or tree.has(first) or tree.has(os.path.join(os.path.dirname(document), first))
        if ours and not (tree.has(path) or tree.has(beside) or ("/" not in path and path in tree.names)):
            yield "`%s` is not there" % path


def named_words(tree, document, text):
    for word in re.findall(r"`(?:\w+ )?([a-z]+(?:_[a-z0-9]+){2,})(?:\(\))?`", text):
        stem = re.sub(r"^tickbus_service_|_(seconds|total)$", "", word)  # metrics are named after a service's statistics
        if not tree.words & {word, stem, stem + "_ns"}:
            yield "`%s` stands nowhere" % word


def main():
    tree, faults = Tree(), []
    documents = sorted(path for path in tree.files if path.endswith(".md"))
    for document in documents:
        text = read(document)
        for look in (links, named_files, named_words):
            faults += ["%s: %s" % (document, fault) for fault in look(tree, document, text)]
    print("\n".join(faults) or "%d documents: what they name is there" % len(documents))
    sys.exit(1 if faults or not documents else 0)


main()
