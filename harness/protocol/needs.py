"""What a metric may need of a classifier, or of the run that judges it, before it can be measured."""

PROBABILITIES = "probabilities"  # of every cell of a set
NEW_IMAGES = "new images"  # answers for images that the run makes: corrupted ones, or those that are timed
PREPARED_ARRAYS = "prepared arrays"  # answers for arrays that were prepared beforehand
TRAINING = "training"  # a training that this run watched
TRAINING_CELLS = "training cells"  # knowledge of the cells that the classifier was trained on
OTHER_SEEDS = "other seeds"  # classifiers of the same recipe with another seed
REPEATED_TRAINING = "repeated training"  # the same training in fresh processes
EXPORT = "export"  # a file that fastai's `load_learner` opens
COLUMNS = "columns"  # what the label table says of each cell
SPLIT = "split"  # parts that the dataset is divided into
ANSWERS_ON_TRAIN = "answers on train"  # probabilities of the cells that training learnt from
ANSWERS_ON_VALIDATION = "answers on validation"  # probabilities of cells that are not judged, for what is fitted
