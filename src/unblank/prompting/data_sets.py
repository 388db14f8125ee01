"""Where the examples of the library's tasks lie in a folder of data sets.

Paths are below the folder and without the ending; `{split}` stands for the split.
"""

__all__ = ["CLASSIFICATION", "GLUE", "SUPERGLUE", "TASK_FILES"]

SUPERGLUE = {
    "record": "nlu/superglue/ReCoRD/{split}",
    "copa": "nlu/superglue/COPA/{split}",
    "wsc": "nlu/superglue/WSC/{split}",
    "rte": "nlu/superglue/RTE/{split}",
    "boolq": "nlu/superglue/BoolQ/{split}",
    "wic": "nlu/superglue/WiC/{split}",
    "cb": "nlu/superglue/CB/{split}",
    "multirc": "nlu/superglue/MultiRC/{split}",
}

GLUE = {
    "cola": "nlu/glue/CoLA/{split}",
    "sst2": "nlu/glue/SST-2/{split}",
    "mrpc": "nlu/glue/MRPC/{split}",
    "stsb": "nlu/glue/STS-B/{split}",
    "qnli": "nlu/glue/QNLI/{split}",
}

CLASSIFICATION = {
    "ag_news": "nlu/ag_news/{split}",
    "trec": "nlu/trec/{split}",
    "trec_fine": "nlu/trec/{split}",
    "sick": "nlu/sick/{split}",
    "sick_relatedness": "nlu/sick/{split}",
}

TASK_FILES = {
    **SUPERGLUE,
    **GLUE,
    **CLASSIFICATION,
    "ocnli": "nlu/ocnli_zh/{split}",
    "pawsx": "xling/pawsx/{split}.en",
    "xcopa": "xling/xcopa/{split}.*",
    "xnli": "xling/xnli/{split}.en",
}
"""Task -> its files, of a task in many languages those of one of them."""
