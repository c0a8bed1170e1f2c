"""Captions cut by Stanford's Penn Treebank tokenizer, as the COCO caption evaluation cuts them. Needs Java.

`tokenize_caption` needs none and gives the same words but for one caption in a thousand (of the 35,000 of Flickr8k, 36
differ): signs such as "#" stay a word here, abbreviations keep their dot ("mr."), "cannot" is two words.
"""

from collections.abc import Sequence

from optophone.evaluation.java import NotMeasuredError, coco_folder, run_java

JAR = "stanford-corenlp-3.4.1.jar"
# What the COCO caption evaluation leaves out. Brackets come out of the tokenizer in lower case ("-lrb-"), so that they
# stay in; that is how published scores are counted.
PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)
_NAME = "the Penn Treebank tokenizer"


def tokenize_ptb(texts: Sequence[str]) -> list[list[str]]:
    """The lower-case words of each text, without punctuation.

    Raises:
        NotMeasuredError: Java or the package pycocoevalcap is missing, or the tokenizer failed.
    """
    jar = coco_folder("tokenizer") / JAR
    if not jar.is_file():
        raise NotMeasuredError(f"needs {JAR} of pycocoevalcap: pip install --force-reinstall pycocoevalcap")
    lines = [" ".join(text.split()) for text in texts]  # a text is a line, whatever breaks it has
    program = ["-Xmx1G", "-XX:+UseSerialGC", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
    options = ["-preserveLines", "-lowerCase", "-encoding", "UTF-8"]
    given = "".join(line + "\n" for line in lines)
    found = run_java(_NAME, program + options, given, timeout_s=300 + len(lines) / 50).split("\n")
    if len(found) != len(lines) + 1:
        raise NotMeasuredError(f"{_NAME} made {len(found) - 1} lines of {len(lines)}")
    return [[word for word in line.split() if word not in PUNCTUATION] for line in found[:-1]]
